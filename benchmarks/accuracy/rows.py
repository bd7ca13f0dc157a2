"""The rows of the results page by name: what each changes in the product's default configuration.

rows.toml holds the named rows and groups of datasets, ablation.toml those that change one lever
("ablation:<lever>"), ablation_history.toml the same of the family history
("ablation:history-<lever>"), peers/peers.toml the other packages ("peer:<name>"). Keys of a row beside
those of `Row` are sections of the run configuration; `on.<dataset>` holds what it changes on one
dataset only. `like` names a row of the same file whose keys it takes over, its own on top.
"""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.accuracy.data import merged
from recsys.core.errors import UsageError, nearest

FOLDER = Path(__file__).parent
ABLATION, PEER = "ablation:", "peer:"
_ABLATIONS = {
    ABLATION: "ablation.toml",
    f"{ABLATION}history-": "ablation_history.toml",
}
"""Where the levers are, by what their names begin with."""


@dataclass(frozen=True)
class Row:
    """A row of the results page.

    datasets: those that `make bench-accuracy` runs it on; it can be run on any. baseline: name of a
    closed-form recommender, tuned over its grid, in place of the model. refit: train anew on train +
    validation before the test; false tests what was trained on train alone. search: budget (trials,
    minutes) of a `recsys tune` that starts from the row's configuration. script, settings,
    environment: of a peer; the last names the virtual environment that runs it
    (peers/<environment>.txt). base: of a lever, the row that it changes; a base's own. changes: to the default
    configuration, by section. on: the same by dataset, on top.
    """

    name: str
    title: str
    datasets: tuple[str, ...] = ()
    seeds: int = 1
    baseline: str | None = None
    refit: bool = True
    search: dict[str, Any] = field(default_factory=dict)
    script: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    environment: str | None = None
    base: str | None = None
    changes: dict[str, dict[str, Any]] = field(default_factory=dict)
    on: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)

    def changes_on(self, dataset: str) -> dict[str, dict[str, Any]]:
        """Sections changed on one dataset."""
        return merged(self.changes, self.on.get(dataset, {}))


def rows() -> dict[str, Row]:
    """Every row by name, in the order of the files."""
    return {row.name: row for row in (*_named(), *_ablation(), *_peers())}


def row(name: str) -> Row:
    """The row of that name. Raises UsageError naming close ones."""
    known = rows()
    if name not in known:
        raise UsageError(
            f"unknown row {name!r}", nearest(name, known) or f"Known: {', '.join(known)}"
        )
    return known[name]


def _named() -> Iterator[Row]:
    document = _read("rows.toml")
    groups = document.pop("groups")
    for name, table in document.items():
        if "like" in table:
            base = document[table.pop("like")]
            document[name] = table = _over(base, table)
        datasets: list[str] = []
        for group in table["datasets"]:
            datasets += groups.get(group, [group])
        yield _row(name, table | {"datasets": datasets})


def _over(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A table with another on top of it, key by key down to the values."""
    merged_table = dict(base)
    for key, value in changes.items():
        below = base.get(key)
        if isinstance(value, dict) and isinstance(below, dict):
            value = _over(below, value)
        merged_table[key] = value
    return merged_table


def _ablation() -> Iterator[Row]:
    for prefix, file in _ABLATIONS.items():
        document = _read(file)
        name = f"{prefix}base"
        base = replace(_row(name, document["base"]), base=name)
        yield base
        for lever, changes in document["lever"].items():
            title = changes.pop("title", lever)
            changed = merged(base.changes, changes)
            yield replace(base, name=prefix + lever, title=title, changes=changed)


def _peers() -> Iterator[Row]:
    for name, table in _read("peers/peers.toml").items():
        yield _row(PEER + name, table)


def _row(name: str, table: dict[str, Any]) -> Row:
    own = {key: table[key] for key in table if key in Row.__dataclass_fields__}
    own["datasets"] = tuple(own.get("datasets", ()))
    return Row(name=name, changes={key: table[key] for key in table if key not in own}, **own)


def _read(file: str) -> dict[str, Any]:
    return tomllib.loads((FOLDER / file).read_text(encoding="utf-8"))
