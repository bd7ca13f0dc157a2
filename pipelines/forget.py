"""Forgetting a person: out of the bundles, the live events and the run folder, and never read
again.

The order bears being cut off anywhere: the list that later runs honour comes first, the rows by
which the person is recognised go last, and every step done again finds nothing to do. Whoever is
cut off says the same once more.
"""

import json
import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
from safetensors.numpy import load_file, save_file

from pipelines.places import LOG, RELATIONS, SPLIT, SUPPRESSED
from recsys.bundle.bundle import Bundle
from recsys.core.artefacts import (
    RunFolder,
    atomic_file,
    atomic_folder,
    exclusive,
    read_json,
    write_json,
)
from recsys.core.progress import QUIET, Progress
from recsys.core.suppression import Suppression
from recsys.core.table_files import read_parquet
from recsys.core.tables import BEHAVIOR, LABEL, NODE_TYPE, USER, USER_ID
from recsys.logs.reasons import SUPPRESSED as REASON_SUPPRESSED
from recsys.releases.forget import without_user
from recsys.releases.life_cycle import all_bundles, replace_bundle

EVENTS = "events.jsonl"
RECEIPTS = "receipts"
# Every one has rows of the person, at places that are theirs; the next run makes them anew.
_DERIVED = (SPLIT, RELATIONS, "graph", "blend", "scores", "checkpoint/resume")
_KEPT_OF_CHECKPOINTS = ("states", "training.json")
_REMAINS = (
    "The vectors of items, the tables between items and the counts of users were learnt with this person among all "
    "others; they name nobody and remain until the next training. Files of the log outside the run folder were not "
    "touched: later runs of this folder drop these rows where they read them."
)


@dataclass(frozen=True)
class Receipt:
    """What was done. user: the salted hash on the list, never the id. time: ISO, UTC. bundles: old
    name → new name.

    rows, events: how many were removed. checkpoints: trained states that lost the person's.
    deleted: made anew by the next run.
    """

    time: str
    user: str
    bundles: dict[str, str] = field(default_factory=dict)
    events: int = 0
    checkpoints: int = 0
    rows: int = 0
    deleted: list[str] = field(default_factory=list)
    remains: str = _REMAINS


def forget(
    folder: RunFolder, user: str, events: Path | None = None, progress: Progress = QUIET
) -> Receipt:
    """Remove every row of a person from a run folder, and see that none comes back; the receipt is
    kept in it.

    events: the live log, RUN/events.jsonl when None. Raises UsageError while a run goes on, and
    DataError for a bundle that cannot be read.
    """
    with folder.locked():
        listed = Suppression.load(folder.path / SUPPRESSED).having(user)
        listed.save(folder.path / SUPPRESSED)
        progress.say("later runs drop this user's rows")
        bundles = _forget_in_bundles(folder, user, progress)
        num_events = _forget_events(events or folder.path / EVENTS, user)
        checkpoints, deleted, rows = _forget_in_run(folder, user)
        time = datetime.now(UTC).isoformat(timespec="seconds")
        receipt = Receipt(time, listed.hash(user), bundles, num_events, checkpoints, rows, deleted)
        write_json(
            folder.path / RECEIPTS / f"{receipt.user}-{time.replace(':', '')}.json", vars(receipt)
        )
    return receipt


def _forget_in_bundles(folder: RunFolder, user: str, progress: Progress) -> dict[str, str]:
    renamed = {}
    for path in all_bundles(folder):
        bundle = Bundle.load(path, verify=False)
        if user in bundle.users:
            fresh = without_user(bundle, bundle.users.internal(user))
            replace_bundle(folder, path, fresh)
            renamed[path.name] = fresh.name
            progress.say(f"bundle {fresh.name} takes the place of {path.name}")
    return renamed


def _forget_events(file: Path, user: str) -> int:
    """Rewrite the live log without the person's lines, while nobody appends to it."""
    if not file.exists():
        return 0
    with exclusive(file.with_name(f".{file.name}.lock"), "", "", wait=True):
        lines = file.read_bytes().splitlines(keepends=True)
        kept = [line for line in lines if not _is_of(line, user)]
        if len(kept) < len(lines):
            mode = file.stat().st_mode
            with atomic_file(file) as part:
                part.write_bytes(b"".join(kept))
            file.chmod(mode)
    return len(lines) - len(kept)


def _is_of(line: bytes, user: str) -> bool:
    try:
        return str(json.loads(line)[USER_ID]) == user
    except (ValueError, KeyError, TypeError):
        return False


def _forget_in_run(folder: RunFolder, user: str) -> tuple[int, list[str], int]:
    """Checkpoints that lost a state, what was deleted, and the rows that went; the log goes last,
    as it knows the id.
    """
    log = folder.path / LOG
    if (
        not (log / "ingest.json").exists()
        or user not in read_parquet(log / "users.parquet")[USER_ID]
    ):
        return 0, [], 0
    trained = sorted(folder.checkpoint.glob("*/*/states"))
    checkpoints = sum(_forget_state(states, user) for states in trained)
    doomed = [folder.path / name for name in _DERIVED]
    doomed += [
        file
        for one in trained
        for file in sorted(one.parent.iterdir())
        if file.name not in _KEPT_OF_CHECKPOINTS
    ]
    deleted = [path for path in doomed if path.exists()]
    for path in deleted:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return (
        checkpoints,
        [str(path.relative_to(folder.path)) for path in deleted],
        _forget_rows(log, user),
    )


def _forget_state(states: Path, user: str) -> bool:
    """The states that a later training may start from, without the person's."""
    labels = read_parquet(states / "labels.parquet")
    theirs = ((labels[NODE_TYPE] == USER) & (labels[LABEL] == user)).to_numpy()
    if not theirs.any():
        return False
    arrays = load_file(states / "states.safetensors")
    arrays[f"table/{USER}"] = arrays[f"table/{USER}"][
        ~theirs[(labels[NODE_TYPE] == USER).to_numpy()]
    ]
    with atomic_folder(states) as part:
        save_file(
            {name: np.ascontiguousarray(array) for name, array in arrays.items()},
            part / "states.safetensors",
        )
        labels.filter(~theirs).write_parquet(part / "labels.parquet")
    return True


def _forget_rows(log: Path, user: str) -> int:
    """Rewrite the ingested log: codes behind the person's move up by one."""
    users = read_parquet(log / "users.parquet")
    code = int(users[USER_ID].index_of(user) or 0)
    facts = read_json(log / "ingest.json")
    gone = 0
    with atomic_folder(log) as part:
        shutil.copytree(
            log, part, dirs_exist_ok=True, ignore=shutil.ignore_patterns("part-*.parquet")
        )
        for file in sorted((log / "rows").glob("part-*.parquet")):
            rows = read_parquet(file)
            kept = rows.filter(pl.col(USER) != code).with_columns(
                pl.col(USER) - (pl.col(USER) > code).cast(pl.Int32)
            )
            gone += len(rows) - len(kept)
            facts["behaviors"] = _fewer(facts["behaviors"], rows.filter(pl.col(USER) == code))
            kept.write_parquet(part / "rows" / file.name, compression="zstd", compression_level=1)
        users.filter(pl.col(USER_ID) != user).write_parquet(part / "users.parquet")
        drops = facts["drops"] | {
            REASON_SUPPRESSED: facts["drops"].get(REASON_SUPPRESSED, 0) + gone
        }
        facts |= {
            "rows_kept": facts["rows_kept"] - gone,
            "users": facts["users"] - 1,
            "drops": drops,
        }
        write_json(part / "ingest.json", facts)
    return gone


def _fewer(behaviors: dict[str, int], gone: pl.DataFrame) -> dict[str, int]:
    """Counts of rows by behaviour without some; a log without behaviours has a single one."""
    if BEHAVIOR not in gone.columns:
        return {name: count - len(gone) for name, count in behaviors.items()}
    return {name: count - int((gone[BEHAVIOR] == name).sum()) for name, count in behaviors.items()}
