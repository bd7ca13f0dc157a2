"""A topic of Kafka, read from where its group stopped to where it ends, and on."""

import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from recsys.core.errors import ConfigError, DataError, MachineError, nearest
from recsys.core.progress import Progress
from serving.messages import LARGEST_BYTES, Counts, Message

if TYPE_CHECKING:
    from confluent_kafka import Consumer, KafkaError
    from confluent_kafka import Message as Raw

BATCH_MESSAGES = 1000
ANSWER_SECONDS = 10.0
"""Until a broker that does not answer at the start is given up."""
SILENT_SECONDS = 60.0
"""The same for one that answered before, where the end of the topic is waited for."""
LOOK_SECONDS = 60.0
"""Between looks at the partitions, of which a topic may get more."""
TELL_SECONDS = 30.0

_WAIT_SECONDS = 0.5  # a signal is heard as often
_QUEUE_KILOBYTES = 16_384  # read ahead, of each partition

SETTINGS = (
    "security.protocol",
    "sasl.mechanism",
    "sasl.username",
    "sasl.password",
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.key.location",
    "ssl.key.password",
)
"""Settings of librdkafka that the environment may give, as KAFKA_SASL_USERNAME and so on."""


class Topic:
    """Its messages, and how far they were taken; to be closed. All partitions are read by whoever opens it.

    servers: HOST:PORT, several with commas between. group: under whose name the broker keeps offsets.
    Raises MachineError for a broker that does not answer, DataError for a topic that is not there,
    ConfigError for settings that cannot be.
    """

    def __init__(self, servers: str, name: str, group: str, progress: Progress) -> None:
        self._servers, self.name, self._progress = servers, name, progress
        self._reason = ""
        self._is_silent = False
        self._taken: dict[
            int, int
        ] = {}  # partition → offset of its next message, not committed yet
        self._ended: set[int] = set()
        self._assigned: set[int] = set()
        self._looked = self._heard = time.monotonic()
        self._consumer = self._open(group)
        try:
            self._assign(self._partitions())
        except BaseException:
            self.close()
            raise

    @property
    def is_at_end(self) -> bool:
        """Whether every partition was read to its end."""
        return self._ended >= self._assigned

    def read(self) -> list[Message]:
        """The next messages; none where there are none for half a second. Raises DataError and
        MachineError for a topic that is gone or refused.
        """
        if time.monotonic() - self._looked > LOOK_SECONDS and not self._is_silent:
            self._assign(self._partitions())
        messages = []
        for raw in self._consumer.consume(BATCH_MESSAGES, timeout=_WAIT_SECONDS):
            self._hear()
            error = raw.error()
            if error is not None:
                self._take_error(raw, error)
                continue
            self._ended.discard(raw.partition())
            self._taken[raw.partition()] = raw.offset() + 1
            messages.append(self._message(raw))
        return messages

    def require_answers(self) -> None:
        """Raises MachineError for a broker of which nothing was heard for a minute."""
        if time.monotonic() - self._heard > SILENT_SECONDS:
            raise self._unreachable()

    def commit(self) -> None:
        """Tell the broker that what was read is taken. Raises MachineError where it does not hear."""
        from confluent_kafka import KafkaException, TopicPartition

        if not self._taken:
            return
        offsets = [TopicPartition(self.name, *taken) for taken in sorted(self._taken.items())]
        try:
            committed = self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            raise self._not_committed(error.args[0]) from None
        for partition in committed:
            if partition.error is not None:
                raise self._not_committed(partition.error)
        self._taken = {}

    def close(self) -> None:
        self._consumer.close()

    def _open(self, group: str) -> "Consumer":
        try:
            from confluent_kafka import Consumer, KafkaException
        except ImportError as error:
            raise MachineError(
                f"a topic of Kafka needs confluent-kafka, which is not installed ({error})",
                'pip install "recsys[kafka]"',
            ) from None
        settings = {
            "bootstrap.servers": self._servers,
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "queued.max.messages.kbytes": _QUEUE_KILOBYTES,
            "fetch.message.max.bytes": LARGEST_BYTES,
            "log_level": 0,  # errors come to `error_cb`
            "error_cb": self._note,
        }
        try:
            return Consumer(settings | settings_of(os.environ))
        except KafkaException as error:
            raise ConfigError(
                f"the settings of Kafka cannot be: {error.args[0].str()}",
                "See the variables KAFKA_… and --server",
            ) from None

    def _partitions(self) -> set[int]:
        """Of the topic as it is now."""
        from confluent_kafka import KafkaError, KafkaException

        try:
            topic = self._consumer.list_topics(self.name, timeout=ANSWER_SECONDS).topics[self.name]
        except KafkaException:
            self._consumer.poll(0)  # what it heard meanwhile
            raise self._unreachable() from None
        self._looked = time.monotonic()
        error = topic.error
        if error is not None and error.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise self._refused(error)
        if error is not None or not topic.partitions:
            raise self._not_there()
        return set(topic.partitions)

    def _assign(self, partitions: set[int]) -> None:
        """Read these from where the group stopped, or from their beginning."""
        from confluent_kafka import KafkaException, TopicPartition

        new_partitions = sorted(partitions - self._assigned)
        added = [TopicPartition(self.name, partition) for partition in new_partitions]
        if not added:
            return
        try:
            self._consumer.incremental_assign(self._consumer.committed(added, ANSWER_SECONDS))
        except KafkaException as error:
            raise self._refused(error.args[0]) from None
        self._assigned |= partitions

    def _message(self, raw: "Raw") -> Message:
        kind, milliseconds = raw.timestamp()
        moment = milliseconds / 1000 if kind else None
        # With its time: of a topic that was made anew the offsets begin anew, too.
        position = f"{self.name}/{raw.partition()}/{raw.offset()}@{milliseconds}"
        return Message(position, raw.value(), moment)

    def _take_error(self, raw: "Raw", error: "KafkaError") -> None:
        from confluent_kafka import KafkaError

        if error.code() == KafkaError._PARTITION_EOF:
            self._ended.add(raw.partition())
        elif error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise self._not_there()
        elif not error.retriable():
            raise self._refused(error)

    def _hear(self) -> None:
        self._heard = time.monotonic()
        if self._is_silent:
            self._is_silent = False
            self._progress.say(f"Kafka at {self._servers} answers again")

    def _note(self, error: "KafkaError") -> None:
        """What the client says of its connections; it goes on trying."""
        from confluent_kafka import KafkaError

        if error.code() != KafkaError._ALL_BROKERS_DOWN:
            self._reason = _reason(error.str())
        elif self._assigned and not self._is_silent:
            self._is_silent = True
            self._progress.say(f"Kafka at {self._servers} does not answer; waiting for it")

    def _unreachable(self) -> MachineError:
        return MachineError(
            f"cannot reach Kafka at {self._servers}: {self._reason or 'it does not answer'}",
            "Is it running, and are --server and the variables KAFKA_… right?",
        )

    def _not_there(self) -> DataError:
        topics = self._consumer.list_topics(timeout=ANSWER_SECONDS).topics
        return DataError(
            f"there is no topic {self.name!r} at {self._servers}",
            nearest(self.name, topics) or "Name one with --topic",
        )

    def _refused(self, error: "KafkaError") -> MachineError:
        return MachineError(
            f"Kafka at {self._servers} refuses the topic {self.name!r}: {error.str()}",
            "May this user read it, and its group?",
        )

    def _not_committed(self, error: "KafkaError") -> MachineError:
        return MachineError(
            f"the events are written, and Kafka at {self._servers} has not noted it: {error.str()}",
            "Start it again: events that come twice are written once",
        )


def settings_of(environment: Mapping[str, str]) -> dict[str, Any]:
    """Settings that stand in the environment."""
    values = {}
    for name in SETTINGS:
        value = environment.get("KAFKA_" + name.upper().replace(".", "_"))
        if value:
            values[name] = value
    return values


def follow(
    topic: Topic,
    take: Callable[[list[Message]], None],
    counts: Counts,
    progress: Progress,
    most: int | None = None,
    once: bool = False,
) -> None:
    """Take messages, and tell the broker so once they are on disk, until interrupted.

    Args:
        topic: Where they come from.
        take: Writes some down durably.
        counts: What became of them, for what is told.
        progress: Who is told, every half minute in which there were some.
        most: End after so many messages, up to a batch more.
        once: End where the topic ends.

    Raises:
        DataError: The topic is gone.
        MachineError: The disk or the broker refuses; with `once`, the broker is silent for a minute.
    """
    told, told_at = 0, time.monotonic()
    while most is None or counts.all < most:
        messages = topic.read()
        if messages:
            take(messages)
            topic.commit()
        elif once:
            if topic.is_at_end:
                return
            topic.require_answers()
        if counts.all > told and time.monotonic() - told_at > TELL_SECONDS:
            told, told_at = counts.all, time.monotonic()
            progress.say(summary(topic.name, counts), **vars(counts))


def summary(name: str, counts: Counts) -> str:
    """What became of the messages of a topic, in one line."""
    line = f"{name}: {counts.written:,} events written"
    for label in ("repeated", "forgotten", "wrong"):
        count = getattr(counts, label)
        if count:
            line += f", {count:,} {label}"
    return line


def _reason(text: str) -> str:
    """What the client says, without the broker's name before it and its state behind."""
    return text.rpartition(": Connect to ")[2].partition(" (after ")[0].strip()
