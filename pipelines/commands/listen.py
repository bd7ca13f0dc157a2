"""`recsys listen`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.options import (
    BehaviorCol,
    ItemCol,
    Json,
    LogJson,
    Quiet,
    Run,
    TimeCol,
    UserCol,
    WeightCol,
)
from pipelines.commands.serve import Events, settings_of
from recsys.core.artefacts import RunFolder
from recsys.core.errors import UsageError

TopicName = Annotated[
    str, typer.Option("--topic", metavar="NAME", help="Topic of events, one JSON object a message.")
]
Server = Annotated[
    str,
    typer.Option(
        "--server",
        metavar="HOST:PORT",
        envvar="KAFKA_BOOTSTRAP_SERVERS",
        help="Broker; several with commas between. KAFKA_SASL_USERNAME and so on say who asks.",
    ),
]
Group = Annotated[
    str | None,
    typer.Option("--group", metavar="NAME", help="Whose offsets they are; recsys-RUN when absent."),
]
IdCol = Annotated[
    str | None,
    typer.Option("--id-col", metavar="NAME", help="Key of the ids of events, if they have some."),
]
Most = Annotated[int | None, typer.Option("--most", min=1, help="End after so many messages.")]
Once = Annotated[
    bool, typer.Option("--once", help="End where the topic ends; without, wait for more.")
]


def listen(
    run: Run,
    topic: TopicName,
    server: Server = "localhost:9092",
    group: Group = None,
    events: Events = None,
    user_col: UserCol = None,
    item_col: ItemCol = None,
    time_col: TimeCol = None,
    behavior_col: BehaviorCol = None,
    weight_col: WeightCol = None,
    id_col: IdCol = None,
    most: Most = None,
    once: Once = False,
    as_json: Json = False,
    log_json: LogJson = False,
    quiet: Quiet = False,
) -> None:
    """Write the events of a Kafka topic into the run's live events: the service answers with them,
    the next run learns from them. What was read is noted by the broker once it is on disk.
    """
    from pipelines.console import print_document, progress_to
    from serving.kafka import Topic, follow, summary
    from serving.messages import Taker
    from serving.remote import following

    flags = {
        "user": user_col,
        "item": item_col,
        "time": time_col,
        "behavior": behavior_col,
        "weight": weight_col,
        "id": id_col,
    }
    if "@" in server:
        raise UsageError(
            "--server holds a user or password",
            "Give HOST:PORT, and them in KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD",
        )
    settings = settings_of(run, events)
    if settings.events is None:
        raise UsageError(f"{run!r} is a bundle and has no events", "Name a run folder, or --events")
    progress = progress_to(log_json, quiet)
    with following(settings):
        taker = Taker(settings, _fields(flags, settings.run), progress)
        name = settings.run or Path(run)
        source = Topic(server, topic, group or f"recsys-{name.resolve().name}", progress)
        try:
            progress.say(f"listening to {topic} at {server}, writing to {settings.events}")
            follow(source, taker.take, taker.counts, progress, most, once)
        finally:
            source.close()
            progress.say(summary(topic, taker.counts), **asdict(taker.counts))
    if as_json:
        print_document(asdict(taker.counts))


def _fields(flags: dict[str, str | None], run: Path | None) -> dict[str, tuple[str, ...]]:
    """Of each field of an event its keys: of the flag alone, or the column of the run's log before the
    usual ones.
    """
    from serving.messages import FIELDS

    manifest = {} if run is None else RunFolder(run).read_manifest()
    columns = manifest.get("config", {}).get("data", {})
    fields: dict[str, tuple[str, ...]] = {}
    for name, usual in FIELDS.items():
        flag, column = flags[name], columns.get(f"{name}_col")
        if flag is not None:
            fields[name] = (flag,)
        else:
            fields[name] = (column, *usual) if column else usual
    return fields
