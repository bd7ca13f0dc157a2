"""Bad input through the command line: a clear message, the exit code, and nothing half-written."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest

from chain import Call
from recsys.core.artefacts import RunFolder

START = 1_600_000_000
SMALL = [
    "model.width=4",
    "model.heads=1",
    "train.epochs=1",
    "evaluate.bootstrap=100",
    "evaluate.baselines=['popularity']",
]
SETS = [part for one in SMALL for part in ("--set", one)]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def good_rows(users: int = 12, items: int = 9) -> pl.DataFrame:
    """Every user takes two thirds of the items, one a day."""
    pairs = [(user, item) for user in range(users) for item in range(items) if (user + item) % 3]
    return pl.DataFrame(
        {
            "user_id": [f"u{user}" for user, _ in pairs],
            "item_id": [f"i{item}" for _, item in pairs],
            "timestamp": [START + 86_400 * item + user for user, item in pairs],
        }
    )


def run(call: Call, log: str = "log.csv", *more: str) -> object:
    return call("run", "--log", log, "--out", "run", "--threads", "1", "--quiet", *SETS, *more)


def nothing_left(folder: Path) -> bool:
    """No output of a stage and no temporary file; a run says how far it came."""
    left = [
        path
        for path in (folder / "run").rglob("*")
        if path.is_file() and path.name not in ("manifest.json", "progress.json", ".lock")
    ]
    return left == []


def refused(
    call: Call, here: Path, code: int, *words: str, log: str = "log.csv", more: tuple[str, ...] = ()
) -> None:
    called = run(call, log, *more)
    assert called.code == code, called.err
    assert called.out == "" and "Traceback" not in called.err
    assert any(word in called.err for word in words), called.err
    assert nothing_left(here)


def test_a_missing_column_names_what_there_is(call: Call, here: Path) -> None:
    good_rows().rename({"user_id": "usr_id"}).write_csv("log.csv")
    refused(call, here, 1, "usr_id")


def test_a_named_column_that_is_not_there(call: Call, here: Path) -> None:
    good_rows().write_csv("log.csv")
    refused(call, here, 1, "timestamp", more=("--time-col", "timestmp"))


def test_a_wrong_type(call: Call, here: Path) -> None:
    good_rows().with_columns(timestamp=pl.lit([1, 2])).write_parquet("log.parquet")
    refused(call, here, 1, "timestamp", log="log.parquet")


def test_a_log_without_rows(call: Call, here: Path) -> None:
    good_rows().head(0).write_csv("log.csv")
    refused(call, here, 1, "no row", "empty", "0 rows")


def test_a_file_of_zero_bytes(call: Call, here: Path) -> None:
    Path("log.csv").touch()
    refused(call, here, 1, "log.csv", "empty")


def test_a_file_that_is_not_there(call: Call, here: Path) -> None:
    refused(call, here, 1, "log.csv")


def test_all_rows_dropped_says_why(call: Call, here: Path) -> None:
    good_rows().write_csv("log.csv")
    refused(
        call, here, 1, "core", "interactions", more=("--set", "clean.min_user_interactions=100")
    )


def test_one_user(call: Call, here: Path) -> None:
    good_rows().filter(pl.col("user_id") == "u1").write_csv("log.csv")
    called = run(call)
    assert called.code in (0, 1) and "Traceback" not in called.err


def test_one_item(call: Call, here: Path) -> None:
    good_rows().filter(pl.col("item_id") == "i1").write_csv("log.csv")
    called = run(call)
    assert called.code == 1 and "Traceback" not in called.err


@pytest.mark.parametrize("bad", ["NaN", "-5", "99999999999999999"])
def test_impossible_times_are_counted_or_refused(call: Call, here: Path, bad: str) -> None:
    rows = good_rows().with_columns(pl.col("timestamp").cast(pl.String))
    rows = rows.with_columns(
        timestamp=pl.when(pl.int_range(pl.len()) == 3).then(pl.lit(bad)).otherwise("timestamp")
    )
    rows.write_csv("log.csv")
    called = call("data", "check", "log.csv", "--time-col", "timestamp", "--json")
    assert called.code in (0, 1) and "Traceback" not in called.err
    if called.code == 0:
        assert any("time" in reason for reason in json.loads(called.out)["drops"])


def test_mixed_time_units(call: Call, here: Path) -> None:
    rows = good_rows()
    half = (
        pl.when(pl.int_range(pl.len()) % 2 == 0)
        .then(pl.col("timestamp") * 1000)
        .otherwise(pl.col("timestamp"))
    )
    rows.with_columns(timestamp=half).write_csv("log.csv")
    refused(call, here, 1, "unit", more=("--time-col", "timestamp"))


def test_duplicate_column_names(call: Call, here: Path) -> None:
    text = good_rows().write_csv().replace("timestamp", "item_id", 1)
    Path("log.csv").write_text(text, encoding="utf-8")
    refused(call, here, 1, "item_id", "duplicate")


def test_a_truncated_parquet(call: Call, here: Path) -> None:
    good_rows().write_parquet("whole.parquet")
    Path("log.parquet").write_bytes(Path("whole.parquet").read_bytes()[:-200])
    refused(call, here, 1, "log.parquet", "cut short", log="log.parquet")


def test_a_broken_line_is_refused_or_counted(call: Call, here: Path) -> None:
    Path("log.csv").write_text(good_rows().write_csv() + "u1,i1,1,2,3,4\n", encoding="utf-8")
    refused(call, here, 1, "line", "fields", more=("--time-col", "timestamp"))
    called = run(call, "log.csv", "--set", "data.broken_lines=count")
    assert called.code == 0, called.err
    ingest = RunFolder(here / "run").read_manifest()["stages"]["ingest"]
    assert sum(ingest["drops"].values()) == 1


def test_ids_with_newlines_unicode_and_nothing_survive_the_chain(call: Call, here: Path) -> None:
    odd = {"u1": "a\nb", "u2": "ünï", "u3": " ", "i1": "x,y", "i2": '"q"', "i4": "line\nbreak"}
    good_rows().with_columns(pl.col("user_id", "item_id").replace(odd)).write_csv("log.csv")
    called = run(call, "log.csv", "--time-col", "timestamp")
    assert called.code == 0, called.err
    for user in ("a\nb", "ünï"):
        called = call("recommend", "run", "--user", user, "-k", "1", "--no-exclude-seen", "--json")
        assert called.code == 0, called.err


def test_k_above_the_catalogue_and_an_unknown_user(call: Call, here: Path) -> None:
    good_rows().write_csv("log.csv")
    assert run(call).code == 0
    assert call("recommend", "run", "--user", "u1", "-k", "500", "--json").code == 0
    unknown = call("recommend", "run", "--user", "u99")
    assert unknown.code == 2 and "unknown user 'u99'" in unknown.err


def test_an_unknown_key_suggests_the_nearest(call: Call, here: Path) -> None:
    good_rows().write_csv("log.csv")
    refused(call, here, 2, "min_user_interactions", more=("--set", "clean.min_user_interaction=2"))


def test_two_runs_on_one_folder(call: Call, here: Path) -> None:
    good_rows().write_csv("log.csv")
    with RunFolder(here / "run").locked():
        called = run(call)
    assert called.code == 2 and str(os.getpid()) in called.err


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a tmpfs; skips where that is refused."""
    mounted: list[Path] = []

    def mounting(options: str) -> Path:
        place = tmp_path / f"mount{len(mounted)}"
        place.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            pytest.skip("there is no mount command here")
        if done.returncode:
            pytest.skip(f"mounting is refused here: {done.stderr.strip()}")
        mounted.append(place)
        return place

    yield mounting
    for place in mounted:
        subprocess.run(["umount", "-l", str(place)], check=False)


@pytest.mark.parametrize("kilobytes", [64, 160, 384])
def test_a_full_disk(call: Call, here: Path, mount: Callable[[str], Path], kilobytes: int) -> None:
    place = mount(f"size={kilobytes}k")
    good_rows(200, 30).write_csv("log.csv")
    called = call(
        "run",
        "--log",
        "log.csv",
        "--out",
        place / "run",
        "--quiet",
        *SETS,
        "--set",
        "split.method=random",
    )
    assert called.code == 1, called.err
    assert "full" in called.err
    assert not list(place.rglob("*.tmp*"))


def test_a_read_only_mount(call: Call, here: Path, mount: Callable[[str], Path]) -> None:
    place = mount("ro")
    good_rows().write_csv("log.csv")
    called = call("run", "--log", "log.csv", "--out", place / "run", "--quiet", *SETS)
    assert called.code == 1 and "read-only" in called.err.lower()
