"""Flags that several verbs share, and the configuration that they make."""

import json
from pathlib import Path
from typing import Annotated

import typer

from recsys.core.config import RunConfig, load_config
from recsys.core.errors import UsageError

Sets = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a configuration key.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, and nothing else there.")]
LogJson = Annotated[bool, typer.Option("--log-json", help="Progress as JSON lines on stderr.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")]
Out = Annotated[Path | None, typer.Option("--out", help="Run folder; runs/NAME when absent.")]
Count = Annotated[int, typer.Option("-k", "--k", min=1, help="Length of the lists.")]
Seed = Annotated[int | None, typer.Option("--seed", help="Seed of everything that is drawn.")]
Threads = Annotated[int | None, typer.Option("--threads", min=1, help="Threads; all cores when absent.")]
Config = Annotated[Path | None, typer.Argument(metavar="CONFIG.toml", show_default=False, help="Run configuration.")]
Log = Annotated[
    list[str] | None, typer.Option("--log", metavar="FILE", help="File, folder, glob or cloud URL of interactions.")
]
UserCol = Annotated[str | None, typer.Option("--user-col", metavar="NAME", help="Column of the user ids.")]
ItemCol = Annotated[str | None, typer.Option("--item-col", metavar="NAME", help="Column of the item ids.")]
TimeCol = Annotated[str | None, typer.Option("--time-col", metavar="NAME", help="Column of the times.")]
BehaviorCol = Annotated[str | None, typer.Option("--behavior-col", metavar="NAME", help="Column of the behaviours.")]
WeightCol = Annotated[str | None, typer.Option("--weight-col", metavar="NAME", help="Column of event weights.")]
RatingCol = Annotated[str | None, typer.Option("--rating-col", metavar="NAME", help="Column of ratings.")]
Items = Annotated[str | None, typer.Option("--items", metavar="FILE", help="Table of items: id, title, attributes.")]
Users = Annotated[str | None, typer.Option("--users", metavar="FILE", help="Table of users: id, attributes.")]
Target = Annotated[str | None, typer.Option("--target", metavar="BEHAVIOR", help="Behaviour to predict.")]
Run = Annotated[Path, typer.Argument(metavar="RUN", help="Run folder, or a bundle folder.")]


def configuration(config: Path | None, sets: list[str] | None, **flags: object) -> RunConfig:
    """The file's configuration with flags on top (`data__log` is the key data.log) and `--set` above both."""
    given = {name.replace("__", "."): value for name, value in flags.items() if value is not None}
    # JSON strings, numbers and lists of strings are TOML too, so that a flag's text stays text.
    overrides = [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in given.items()]
    made = load_config(config, [*overrides, *(sets or [])])
    return made if config or made.name != "run" else made.model_copy(update={"name": _name_of(made)})


def _name_of(config: RunConfig) -> str:
    log = config.data.log if isinstance(config.data.log, str) else None
    return (Path(log).name.split(".")[0].strip("*") if log else "") or "run"


def one_or_many(values: list[str] | None) -> str | list[str] | None:
    """A flag given once is text, given more often a list."""
    return values[0] if values and len(values) == 1 else values


def id_list(texts: list[str] | None) -> list[str] | None:
    """Ids from repeated flags, each `A,B,C` or a JSON list for ids that hold commas. None when not given."""
    if texts is None:
        return None
    return [one for text in texts for one in _ids(text)]


def attribute_values(texts: list[str] | None) -> dict[str, list[str]] | None:
    """Values by column from repeated flags, each `COLUMN=VALUE`. None when not given."""
    if texts is None:
        return None
    values: dict[str, list[str]] = {}
    for text in texts:
        column, equals, value = text.partition("=")
        if not (column and equals):
            raise UsageError(f"--attribute {text!r} has no column and value", "Write for example country=DE")
        values.setdefault(column, []).append(value)
    return values


def id_file(path: Path | None) -> list[str]:
    """Ids of a file, one a line. Raises UsageError when it cannot be read."""
    if path is None:
        return []
    try:
        return [line for line in path.read_text(encoding="utf-8").splitlines() if line]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"cannot read the ids in {str(path)!r}: {error}", "Give a text file with one id a line"
        ) from None


def _ids(text: str) -> list[str]:
    if not text.startswith("["):
        return text.split(",")
    try:
        return [str(one) for one in json.loads(text)]
    except json.JSONDecodeError as error:
        raise UsageError(f"{text!r} is not a JSON list of ids: {error}", 'Write for example ["a,b", "c"]') from None
