"""An export: written beside what is live, checked, switched to; and the changes since the last one."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from recsys.bundle.bundle import Bundle
from recsys.core.errors import GateRefused, UsageError
from recsys.core.progress import QUIET, Progress
from recsys.vector_stores.check import Recall, recall_of
from recsys.vector_stores.rows import Kind, Rows, changes, item_rows, user_rows
from recsys.vector_stores.store import (
    IndexKind,
    Live,
    VectorStore,
    explained,
    next_version,
    number_of,
    table_name,
    version_of,
)

NAME = "recsys"
QUERIES = 200


def publish(
    bundle: Bundle,
    store: VectorStore,
    name: str = NAME,
    *,
    users: bool = False,
    index: IndexKind = "hnsw",
    k: int = 10,
    min_recall: float = 0.95,
    keep: int = 1,
    queries: int = QUERIES,
    progress: Progress = QUIET,
) -> dict[str, Any]:
    """Write a bundle under a new version, and let applications see it once it was checked.

    Args:
        bundle: that is exported.
        store: opened under the same name.
        name: that applications ask for.
        users: write the vectors of users, too.
        index: of the new tables.
        k: length of the lists that are compared.
        min_recall: mean share of the exact lists that the store must find.
        keep: how many versions before the live one stay.
        queries: how many lists are compared.
        progress: told of every step.

    Returns:
        What was done: version, bundle, rows, recall, dropped versions.

    Raises:
        GateRefused: the store finds less than `min_recall`; what was live still is.
        MachineError: the store refuses.
        DataError: a vector is not finite.
    """
    tables = [item_rows(bundle)]
    if users:
        tables.append(user_rows(bundle))
    kinds = [rows.kind for rows in tables]
    with explained(store):
        live = store.live()
        if live is not None and live.bundle == bundle.name and _has_all(store, name, live, kinds):
            return {**_facts(bundle, live, tables), "written": False, "dropped": []}
        _drop_unfinished(store, bundle.name, live)
        version = next_version(_versions(store), bundle.name)
        try:
            for rows in tables:
                progress.say(f"writing {len(rows):,} {rows.kind} to {store.place}")
                store.write(table_name(name, rows.kind, version), rows, index)
            recall = recall_of(bundle, store, table_name(name, "items", version), k, queries)
            _require_recall(recall, min_recall, store)
            store.switch(version, kinds, bundle.name)
        except BaseException:
            _abandon(store, version)
            raise
        dropped = _drop_old(store, version, keep)
    facts = _facts(bundle, Live(version, bundle.name), tables)
    return {**facts, "written": True, "recall": recall._asdict(), "dropped": dropped}


def push(
    bundle: Bundle,
    bundles: Path,
    store: VectorStore,
    name: str = NAME,
    *,
    k: int = 10,
    min_recall: float = 0.95,
    queries: int = QUERIES,
) -> dict[str, Any]:
    """Bring the live version up to a bundle of the same training: items added, withdrawn, changed.

    Args:
        bundle: whose content the store shall have.
        bundles: folder that holds the bundle which the store has now.
        store, name, k, min_recall, queries: as in `publish`.

    Returns:
        What was done: version, bundle, rows changed and gone, recall.

    Raises:
        UsageError: nothing is live yet, or the bundle that is live there is no more.
        DataError: the bundles are of two trainings.
        GateRefused: the store finds less than `min_recall` after the changes.
        MachineError: the store refuses.
    """
    with explained(store):
        live = store.live()
        if live is None:
            raise UsageError(f"{store.place} has no {name}_items yet", "Begin with recsys export")
        before = _bundle_of(live, bundles)
        table_changes = [changes(item_rows(before), item_rows(bundle))]
        if table_name(name, "users", live.version) in store.tables():
            table_changes.append(changes(user_rows(before), user_rows(bundle)))
        facts: dict[str, Any] = {
            "version": live.version,
            "bundle": bundle.name,
            "before": live.bundle,
            "changed": {change.upserts.kind: len(change.upserts) for change in table_changes},
            "gone": {change.upserts.kind: len(change.gone) for change in table_changes},
        }
        if live.bundle == bundle.name:
            return facts
        store.change(live, table_changes, bundle.name)
        table = table_name(name, "items", live.version)
        recall = recall_of(bundle, store, table, k, queries)
    _require_recall(recall, min_recall, store, "It is live all the same: recsys export writes anew")
    return {**facts, "recall": recall._asdict()}


def _bundle_of(live: Live, bundles: Path) -> Bundle:
    path = bundles / live.bundle
    if not path.exists():
        raise UsageError(
            f"the store has bundle {live.bundle}, which is not in {str(bundles)!r}: what changed "
            "since cannot be told",
            "Write all of it: recsys export",
        )
    return Bundle.load(path, verify=False)


def _require_recall(recall: Recall, least: float, store: VectorStore, remedy: str = "") -> None:
    if recall.store < least:
        raise GateRefused(
            f"{store.place} finds {recall.store:.4f} of the exact lists at {recall.k}, less than "
            f"--min-recall {least}",
            remedy or "What was live still is. Try --index flat",
        )


def _facts(bundle: Bundle, live: Live, tables: Sequence[Rows]) -> dict[str, Any]:
    rows = {table.kind: len(table) for table in tables}
    facts = {"version": live.version, "bundle": bundle.name, "rows": rows}
    return {**facts, "width": tables[0].width}


def _has_all(store: VectorStore, name: str, live: Live, kinds: Sequence[Kind]) -> bool:
    tables = set(store.tables())
    return all(table_name(name, kind, live.version) in tables for kind in kinds)


def _versions(store: VectorStore) -> list[str]:
    """Every version of which there is a table, oldest first."""
    versions = {version_of(table) or "" for table in store.tables()}
    return sorted(versions, key=number_of)


def _drop_unfinished(store: VectorStore, bundle: str, live: Live | None) -> None:
    """Delete what an export of this bundle left that did not come to its end."""
    for version in _versions(store):
        is_live = live is not None and version == live.version
        if not is_live and version.partition("_")[2] == bundle:
            _drop_version(store, version)


def _abandon(store: VectorStore, version: str) -> None:
    """Delete what was written when a failure or Ctrl-C comes before the switch; a store that is gone
    keeps it until the next export.
    """
    with suppress(*store.errors):
        live = store.live()
        if live is None or live.version != version:
            _drop_version(store, version)


def _drop_old(store: VectorStore, live: str, keep: int) -> list[str]:
    """Delete all but the live version and the `keep` newest others."""
    others = [version for version in _versions(store) if version != live]
    old = others[: max(len(others) - keep, 0)]
    for version in old:
        _drop_version(store, version)
    return old


def _drop_version(store: VectorStore, version: str) -> None:
    for table in store.tables():
        if version_of(table) == version:
            store.drop(table)
