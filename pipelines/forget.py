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

from pipelines.places import LOG, RELATIONS, SPLIT
from recsys.bundle.bundle import Bundle
from recsys.core.artefacts import (
    RunFolder,
    atomic_folder,
    read_json,
    write_json,
)
from recsys.core.json_lines import remove_lines
from recsys.core.progress import QUIET, Progress
from recsys.core.suppression import Suppression
from recsys.core.table_files import read_parquet
from recsys.core.tables import BEHAVIOR, LABEL, NODE_TYPE, USER, USER_ID
from recsys.experiments.definition import all_answers
from recsys.logs.reasons import SUPPRESSED as REASON_SUPPRESSED
from recsys.releases.forget import without_user
from recsys.releases.life_cycle import all_bundles, replace_bundle

EVENTS = "events.jsonl"
IMPRESSIONS = "impressions.jsonl"
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
    """What was done.

    time: ISO, UTC.
    user: the salted hash on the list, never the id.
    bundles: old name → new name.
    events, impressions, answers, rows: how many were removed.
    checkpoints: trained states that lost the person's.
    deleted: made anew by the next run.
    remains: what still knows of the person, in words.
    """

    time: str
    user: str
    bundles: dict[str, str] = field(default_factory=dict)
    events: int = 0
    impressions: int = 0
    answers: int = 0
    checkpoints: int = 0
    rows: int = 0
    deleted: list[str] = field(default_factory=list)
    remains: str = _REMAINS


def forget(
    folder: RunFolder, user: str, events: Path | None = None, progress: Progress = QUIET
) -> Receipt:
    """Remove every row of a person from a run folder, and see that none comes back.

    Args:
        folder: of the run; it gets the receipt too.
        user: external id.
        events: the live log, RUN/events.jsonl when None.
        progress: told of every step.

    Returns:
        The receipt.

    Raises:
        UsageError: a run goes on.
        DataError: a bundle cannot be read.
    """
    with folder.locked():
        listed = Suppression.load(folder.suppressed).having(user)
        listed.save(folder.suppressed)
        progress.say("later runs drop this user's rows")
        bundles = _forget_in_bundles(folder, user, progress)
        num_events = _forget_lines(events or folder.path / EVENTS, user)
        num_impressions = _forget_lines(folder.path / IMPRESSIONS, user)
        num_answers = sum(_forget_lines(file, user) for file in all_answers(folder))
        checkpoints, deleted, rows = _forget_in_run(folder, user)
        time = datetime.now(UTC).isoformat(timespec="seconds")
        receipt = Receipt(
            time=time,
            user=listed.hash(user),
            bundles=bundles,
            events=num_events,
            impressions=num_impressions,
            answers=num_answers,
            checkpoints=checkpoints,
            rows=rows,
            deleted=deleted,
        )
        name = f"{receipt.user}-{time.replace(':', '')}.json"
        write_json(folder.path / RECEIPTS / name, vars(receipt))
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


def _forget_lines(file: Path, user: str) -> int:
    """Take the person's lines out of a file that services write."""
    return remove_lines(file, lambda line: _is_of(line, user))


def _is_of(line: bytes, user: str) -> bool:
    try:
        return str(json.loads(line)[USER_ID]) == user
    except (ValueError, KeyError, TypeError):
        return False


def _forget_in_run(folder: RunFolder, user: str) -> tuple[int, list[str], int]:
    """Checkpoints that lost a state, what was deleted, and the rows that went.

    The log goes last, as it knows the id.
    """
    log = folder.path / LOG
    if not (log / "ingest.json").exists():
        return 0, [], 0
    if user not in read_parquet(log / "users.parquet")[USER_ID]:
        return 0, [], 0
    state_folders = sorted(folder.checkpoint.glob("*/*/states"))
    checkpoints = sum(_forget_state(states, user) for states in state_folders)
    deleted = _delete_derived(folder, state_folders)
    return checkpoints, deleted, _forget_rows(log, user)


def _delete_derived(folder: RunFolder, state_folders: list[Path]) -> list[str]:
    """Delete what the next run makes anew; the paths of what there was."""
    derived = [folder.path / name for name in _DERIVED]
    for states in state_folders:
        for file in sorted(states.parent.iterdir()):
            if file.name not in _KEPT_OF_CHECKPOINTS:
                derived.append(file)
    deleted = []
    for path in derived:
        if not path.exists():
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
        deleted.append(str(path.relative_to(folder.path)))
    return deleted


def _forget_state(states: Path, user: str) -> bool:
    """The states that a later training may start from, without the person's."""
    labels = read_parquet(states / "labels.parquet")
    is_user = labels[NODE_TYPE] == USER
    is_person = (is_user & (labels[LABEL] == user)).to_numpy()
    if not is_person.any():
        return False
    arrays = load_file(states / "states.safetensors")
    # Rows of the table are the users among the labels, in their order.
    rows_of_others = ~is_person[is_user.to_numpy()]
    table = f"table/{USER}"
    # Users who are their histories have no rows of their own.
    if table in arrays:
        arrays[table] = arrays[table][rows_of_others]
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    with atomic_folder(states) as new_folder:
        save_file(contiguous, new_folder / "states.safetensors")
        labels.filter(~is_person).write_parquet(new_folder / "labels.parquet")
    return True


def _forget_rows(log: Path, user: str) -> int:
    """Rewrite the ingested log: codes behind the person's move up by one."""
    users = read_parquet(log / "users.parquet")
    code = int(users[USER_ID].index_of(user) or 0)
    facts = read_json(log / "ingest.json")
    num_gone = 0
    with atomic_folder(log) as new_log:
        ignored = shutil.ignore_patterns("part-*.parquet")
        shutil.copytree(log, new_log, dirs_exist_ok=True, ignore=ignored)
        for file in sorted((log / "rows").glob("part-*.parquet")):
            rows = read_parquet(file)
            gone = rows.filter(pl.col(USER) == code)
            is_behind = pl.col(USER) > code
            remaining = rows.filter(pl.col(USER) != code)
            remaining = remaining.with_columns(pl.col(USER) - is_behind.cast(pl.Int32))
            num_gone += len(gone)
            facts["behaviors"] = _fewer(facts["behaviors"], gone)
            new_file = new_log / "rows" / file.name
            remaining.write_parquet(new_file, compression="zstd", compression_level=1)
        users.filter(pl.col(USER_ID) != user).write_parquet(new_log / "users.parquet")
        facts["drops"].setdefault(REASON_SUPPRESSED, 0)
        facts["drops"][REASON_SUPPRESSED] += num_gone
        facts["rows_kept"] -= num_gone
        facts["users"] -= 1
        write_json(new_log / "ingest.json", facts)
    return num_gone


def _fewer(behaviors: dict[str, int], gone: pl.DataFrame) -> dict[str, int]:
    """Counts of rows by behaviour without those gone; a log without behaviours has a single one."""
    fewer = {}
    for name, count in behaviors.items():
        num_gone = len(gone)
        if BEHAVIOR in gone.columns:
            num_gone = int((gone[BEHAVIOR] == name).sum())
        fewer[name] = count - num_gone
    return fewer
