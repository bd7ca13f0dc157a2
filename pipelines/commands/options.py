"""Flags that several verbs share, and the configuration that they make."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.commands.flag_groups import FlagGroup
from recsys.core.errors import DataError, UsageError

if TYPE_CHECKING:
    from recsys.core.config import RunConfig

Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a configuration key."),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on stdout, and nothing else there.")
]
LogJson = Annotated[bool, typer.Option("--log-json", help="Progress as JSON lines on stderr.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")]
Out = Annotated[
    str | None,
    typer.Option("--out", metavar="DIR", help="Run folder or its URL; runs/NAME when absent."),
]
Count = Annotated[int, typer.Option("-k", "--k", min=1, help="Length of the lists.")]
Seed = Annotated[int | None, typer.Option("--seed", help="Seed of everything that is drawn.")]
Threads = Annotated[
    int | None, typer.Option("--threads", min=1, help="Threads; all cores when absent.")
]
Config = Annotated[
    Path | None,
    typer.Argument(metavar="CONFIG.toml", show_default=False, help="Run configuration."),
]
Log = Annotated[
    list[str] | None,
    typer.Option("--log", metavar="FILE", help="File, folder, glob or cloud URL of interactions."),
]
UserCol = Annotated[
    str | None, typer.Option("--user-col", metavar="NAME", help="Column of the user ids.")
]
ItemCol = Annotated[
    str | None, typer.Option("--item-col", metavar="NAME", help="Column of the item ids.")
]
TimeCol = Annotated[
    str | None, typer.Option("--time-col", metavar="NAME", help="Column of the times.")
]
BehaviorCol = Annotated[
    str | None, typer.Option("--behavior-col", metavar="NAME", help="Column of the behaviours.")
]
WeightCol = Annotated[
    str | None, typer.Option("--weight-col", metavar="NAME", help="Column of event weights.")
]
RatingCol = Annotated[
    str | None, typer.Option("--rating-col", metavar="NAME", help="Column of ratings.")
]
Items = Annotated[
    str | None,
    typer.Option("--items", metavar="FILE", help="Table of items: id, title, attributes."),
]
Users = Annotated[
    str | None, typer.Option("--users", metavar="FILE", help="Table of users: id, attributes.")
]
Target = Annotated[
    str | None, typer.Option("--target", metavar="BEHAVIOR", help="Behaviour to predict.")
]
Run = Annotated[
    str, typer.Argument(metavar="RUN", help="Run folder or its URL, or a bundle folder.")
]


Flags = Mapping[str, tuple[Any, str]]
"""By parameter name: what typer makes the flag from, and the configuration key that it sets."""

COLUMNS: Flags = {
    "user_col": (UserCol, "data.user_col"),
    "item_col": (ItemCol, "data.item_col"),
    "time_col": (TimeCol, "data.time_col"),
    "behavior_col": (BehaviorCol, "data.behavior_col"),
    "weight_col": (WeightCol, "data.weight_col"),
    "rating_col": (RatingCol, "data.rating_col"),
}
DRAWS: Flags = {
    "target": (Target, "graph.target"),
    "seed": (Seed, "seed"),
    "threads": (Threads, "threads"),
}
SIDE_TABLES: Flags = {
    "items": (Items, "data.items"),
    "users": (Users, "data.users"),
}
LOG: Flags = {
    "log": (Log, "data.log"),
    **COLUMNS,
    **SIDE_TABLES,
    **DRAWS,
}


def sets_keys(flags: Flags) -> FlagGroup:
    """The argument is their values by configuration key, None when not given."""

    def read(given: dict[str, Any]) -> dict[str, object]:
        return {key: one_or_many(given[name]) for name, (_, key) in flags.items()}

    return FlagGroup({name: kind for name, (kind, _) in flags.items()}, read)


def configuration(config: Path | None, sets: list[str] | None, **keys: object) -> "RunConfig":
    """The file's configuration with keys from flags on top, and `--set` above both."""
    from recsys.core.config import load_config, read_toml, require_files

    # JSON strings, numbers and lists of strings are TOML too, so that a flag's text stays text.
    overrides = [
        f"{key}={json.dumps(value, ensure_ascii=False)}"
        for key, value in keys.items()
        if value is not None
    ]
    run_config = load_config(config, [*overrides, *(sets or [])])
    if config is not None:
        require_files(run_config, config.parent, read_toml(config))
    elif run_config.name == "run":
        run_config = run_config.model_copy(update={"name": _name_of(run_config)})
    return run_config


def _name_of(config: "RunConfig") -> str:
    log = config.data.log if isinstance(config.data.log, str) else None
    return (Path(log).name.split(".")[0].strip("*") if log else "") or "run"


def one_or_many(value: object) -> object:
    """A flag given once is text, given more often a list."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def id_list(texts: list[str] | None) -> list[str] | None:
    """Ids from repeated flags, each `A,B,C`, blanks around an id being none of it, or a JSON list
    for ids that hold commas or blanks at their ends. None when not given.
    """
    if texts is None:
        return None
    ids = []
    for text in texts:
        ids.extend(_ids(text.strip()))
    return ids


def attribute_values(
    texts: list[str] | None, flag: str = "--attribute"
) -> dict[str, list[str]] | None:
    """Values by column from repeated flags, each `COLUMN=VALUE`. None when not given."""
    if texts is None:
        return None
    values: dict[str, list[str]] = {}
    for text in texts:
        column, equals, value = text.partition("=")
        column, value = column.strip(), value.strip()
        if not (column and equals):
            raise UsageError(
                f"{flag} {text!r} has no column and value", "Write for example country=DE"
            )
        values.setdefault(column, []).append(value)
    return values


def id_file(path: Path | None) -> list[str]:
    """Ids of a file, one a line, blanks around an id being none of it.

    Raises UsageError when it cannot be read.
    """
    if path is None:
        return []
    from recsys.logs.text import read_lines

    try:
        lines = read_lines(str(path))
    except (OSError, DataError) as error:
        raise UsageError(
            f"cannot read the ids in {str(path)!r}: {error}", "Give a text file with one id a line"
        ) from None
    return _without_blanks(lines)


def _ids(text: str) -> list[str]:
    if not text.startswith("["):
        return _without_blanks(text.split(","))
    try:
        return [str(item) for item in json.loads(text)]
    except json.JSONDecodeError as error:
        raise UsageError(
            f"{text!r} is not a JSON list of ids: {error}", 'Write for example ["a,b", "c"]'
        ) from None


def _without_blanks(texts: list[str]) -> list[str]:
    """Ids without the blanks around them; what is nothing but blanks is none."""
    stripped = [text.strip() for text in texts]
    return [text for text in stripped if text]
