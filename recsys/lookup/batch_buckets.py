"""Lists of all users by buckets: a folder of Parquet files that hold what `lookup.batch` writes as one."""

import json
import shutil
from collections.abc import Sequence
from fnmatch import fnmatch
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from recsys.bundle.bundle import Bundle
from recsys.core.artefacts import atomic_folder, read_json
from recsys.core.errors import UsageError
from recsys.core.progress import Progress
from recsys.core.runners import Runner
from recsys.core.steps import Call, Facts, Steps
from recsys.lookup.lookup import Lookup
from recsys.search.exact import divide

_USERS = "users.json"
_USERS_PER_BUCKET = 100_000


class Asked(NamedTuple):
    """What lists are asked for.

    bundle: folder of the bundle.
    k, exclude_seen, popularity: as in `Lookup.batch`.
    """

    bundle: str
    k: int
    exclude_seen: bool | tuple[str, ...]
    popularity: float


def write_parts(
    asked: Asked,
    users: list[str] | None,
    buckets: int | None,
    out: Path,
    runner: Runner,
    progress: Progress,
) -> int:
    """Write the lists into `out`/part-NNNNN.parquet, whole or absent; the rows of all parts.

    The parts in order are the rows of one file. What buckets leave stands beside `out` until all are
    done, so that the same call goes on where one was killed.

    Args:
        asked: Which lists.
        users: Ids; everybody when None.
        buckets: How many parts; fewer where there are few users, by their number when None.
        out: A folder that is not there yet, or an earlier one of such parts.
        runner: Runs the buckets.
        progress: Told of the step.

    Raises:
        UsageError: `out` holds other files. Also what `Lookup.batch` raises.
    """
    if out.exists() and not are_parts([file.name for file in out.iterdir()]):
        raise UsageError(f"{str(out)!r} holds other files", "Choose an empty or a new --out")
    bundle = Bundle.load(Path(asked.bundle), verify=False)
    num_users = len(bundle.users) if users is None else len(users)
    num_buckets = buckets or -(-num_users // _USERS_PER_BUCKET) or 1
    stretches = divide(num_users, len(bundle.items), num_buckets)
    steps = Steps(out.with_name(f".{out.name}.steps"), runner, progress, lasts=True)
    inputs = []
    if users is not None:
        text = json.dumps(users)
        inputs.append(steps.write(_USERS, lambda path: path.write_text(text, encoding="utf-8")))
    arguments = [(asked, stretch) for stretch in stretches]
    outcomes = steps.run("lists", write_part, arguments, [inputs] * len(stretches))
    with atomic_folder(out) as folder:
        for number, outcome in enumerate(outcomes):
            [bucket_file] = outcome.files
            steps.hand_over(bucket_file, folder / f"part-{number:05d}.parquet")
    shutil.rmtree(steps.folder)
    return sum(outcome.facts["rows"] for outcome in outcomes)


def are_parts(names: Sequence[str]) -> bool:
    """Whether files of these names are what `write_parts` leaves."""
    return all(fnmatch(name, "part-*.parquet") for name in names)


def write_part(call: Call) -> Facts:
    """The step that writes the lists of one bucket."""
    wanted_lists, stretch = call.arguments
    users = None
    for path in call.read(_USERS):
        users = read_json(path)
    rows = _lookup(wanted_lists.bundle).batch(
        users,
        wanted_lists.k,
        call.out / "lists.parquet",
        exclude_seen=wanted_lists.exclude_seen,
        popularity=wanted_lists.popularity,
        progress=call.progress,
        stretch=stretch,
    )
    return {"rows": rows}


@lru_cache(maxsize=1)
def _lookup(bundle: str) -> Lookup:
    """Loaded once by each process."""
    return Lookup(Bundle.load(Path(bundle), verify=False))
