"""Workers that are forked after fit or load: they answer, or say why not."""

import subprocess
import sys
from pathlib import Path

import pytest

from patience import PATIENCE_SECONDS

_PROGRAM = """
import multiprocessing, sys, warnings
import polars as pl
from recsys import GraphRecommender
from recsys.core.errors import UsageError

LOG = pl.DataFrame({
    "user_id": [row % 12 for row in range(200)],
    "item_id": [(row * 7 + row // 12) % 17 for row in range(200)],
})
ITEMS = pl.DataFrame({"item_id": list(range(17)), "title": ["t"] * 17, "kind": list("abcdefgh") * 2 + ["a"]})
SMALL = dict(width=8, heads=2, epochs=1, early_stopping=False, threads=2)
MADE = None

CALLS = {
    "recommend": lambda: MADE.recommend([1, 2], k=2, explain=True),
    "filters": lambda: MADE.recommend(pl.Series([1]), k=2, filters={"kind": "a"}, exclude_seen=False),
    "bent": lambda: MADE.recommend([1], k=2, popularity=0.1, diversity=0.2, deny=pl.Series([3])),
    "fallback": lambda: MADE.recommend([999], k=2, fallback="popularity"),
    "similar_items": lambda: MADE.similar_items([1, 2], k=2),
    "similar_users": lambda: MADE.similar_users([1], k=2),
    "visitor": lambda: MADE.recommend_history([1, 2], k=2),
    "fold_in": lambda: MADE.fold_in([1, 2]),
    "explain": lambda: [MADE.explain(1, 4)],
}
REFUSED = {
    "fit": lambda: GraphRecommender(**SMALL).fit(LOG),
    "evaluate": lambda: MADE.evaluate(LOG, ks=2),
    "load": lambda: GraphRecommender.load(sys.argv[2]),
}

def answer(name):
    if name in CALLS:
        return len(CALLS[name]())
    try:
        REFUSED[name]()
    except UsageError as error:
        return str(error)
    return "done"

def load_and_answer(folder):
    return len(GraphRecommender.load(folder).recommend([1], k=2))

if __name__ == "__main__":
    how, folder = sys.argv[1:]
    MADE = GraphRecommender(**SMALL).fit(LOG, items=ITEMS)
    if how == "load":
        MADE = GraphRecommender.load(MADE.save(folder))
        MADE.recommend([1], k=1)
    if how == "spawn":
        MADE.save(folder)
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            print(pool.apply_async(load_and_answer, (folder,)).get(timeout=900))
    else:
        for name in [*CALLS, *REFUSED]:
            with multiprocessing.get_context("fork").Pool(1) as pool:
                print(name, pool.apply_async(answer, (name,)).get(timeout=900))
"""


def run(how: str, folder: Path) -> list[str]:
    program = folder / "program.py"
    program.write_text(_PROGRAM, encoding="utf-8")
    command = [sys.executable, "-W", "ignore", str(program), how, str(folder / "saved")]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.skipif(sys.platform != "linux", reason="forks are the way of Linux")
@pytest.mark.parametrize("how", ["fit", "load"])
def test_forked_workers_answer_and_refuse_what_would_wait_forever(tmp_path: Path, how: str) -> None:
    lines = run(how, tmp_path)
    assert lines[:9] == [
        "recommend 4",
        "filters 2",
        "bent 2",
        "fallback 2",
        "similar_items 4",
        "similar_users 2",
        "visitor 2",
        "fold_in 8",
        "explain 1",
    ]
    for line, name in zip(lines[9:], ("fit", "evaluate", "load"), strict=True):
        assert line.startswith(f"{name} {name} in a forked process would wait forever")
        assert "before the fork" in line and "get_context('spawn')" in line


def test_spawned_workers_load_as_the_message_says(tmp_path: Path) -> None:
    assert run("spawn", tmp_path) == ["2"]


@pytest.mark.skipif(sys.platform != "linux", reason="forks are the way of Linux")
def test_a_fork_before_polars_has_run_may_fit(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import multiprocessing\n"
        "import polars as pl\n"
        "from recsys import GraphRecommender\n"
        "LOG = {'user_id': [row % 5 for row in range(60)], 'item_id': [row % 7 for row in range(60)]}\n"
        "def work(_):\n"
        "    made = GraphRecommender(width=8, heads=2, epochs=1, early_stopping=False, threads=1)\n"
        "    return len(made.fit(pl.DataFrame(LOG)).recommend([1], k=2, exclude_seen=False))\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.get_context('fork').Pool(1) as pool:\n"
        "        print(pool.apply_async(work, (0,)).get(timeout=900))\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-W", "ignore", str(program)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    assert done.stdout.split() == ["2"], done.stderr
