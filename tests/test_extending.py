"""Each recipe of docs/extending.md is followed on a copy of the tree, and what it adds is used."""

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "extending.md"

# "A new file `path`:", "In `path`, below `line`:" or "and there, above `line`:", then a code block.
STEP = re.compile(
    r"(?:A new file `(?P<new>[^`]+)`"
    r"|(?:In `(?P<path>[^`]+)`|and there), (?P<place>below|above) `(?P<anchor>[^`]+)`"
    r"|In `(?P<whole>[^`]+)`, at the end)"
    r":\n\n```(?:python|text)\n(?P<code>.*?)^```",
    flags=re.DOTALL | re.MULTILINE,
)

METRIC = """
import numpy as np
from recsys.evaluate.metrics import rank_metrics
from scipy import sparse

ranked = np.array([[3, 1], [0, 2]], np.int32)
held_out = sparse.csr_matrix(np.array([[0, 0, 0, 1], [0, 0, 1, 0]], np.float32))
ranking = rank_metrics(ranked, np.array([0, 1]), held_out, (2,))
assert ranking.per_user["first@2"].tolist() == [1.0, 0.0], ranking
"""

BASELINE = """
import numpy as np
from recsys.baselines.catalogue import BASELINES, baseline
from recsys.core.config import build_config
from pipelines.plan import plan
from worlds import make_interactions

log = make_interactions()
model = baseline("newest").fit(log, log.behaviors[0], {})
scores = model.score(np.array([0, 1], np.int32))
first = np.full(log.num_items, np.inf)
np.minimum.at(first, log.item, log.time)
assert scores[0].argmax() == np.where(np.isinf(first), -np.inf, first).argmax()
assert (scores[0] == scores[1]).all()
config = build_config({"data": {"log": "log.csv"}, "evaluate": {"baselines": ["newest"]}})
assert any("newest" in stage.buckets for stage in plan(config))
"""

TERM = """
import tempfile
from pathlib import Path
import numpy as np
from recsys.core.config import build_config
from recsys.logs.ingest import ingest, load_log
from recsys.logs.split import split_log
from recsys.logs.synthetic import communities
from recsys.phases.phase import Phase
from recsys.scores.additions import blended
from recsys.scores.blend import Blend
from recsys.scores.choice import choose_blend
from recsys.search.exact import VectorScorer
from pipelines.fingerprint import reached_modules

config = build_config({"split": {"method": "random"}, "blend": {"neighbours": 0, "low_pass_rank": 0}})
folder = Path(tempfile.mkdtemp())
ingest(communities(num_users=60, num_items=40, events_per_user=10, seed=1).log, config.data, config.clean, folder)
log = load_log(folder)
phase = Phase("select", log, split_log(log, config.split, "interaction", 0), config)
noise = np.random.default_rng(0).normal(size=(100, 4)).astype(np.float32)
vectors = VectorScorer(noise[:phase.interactions.num_users], noise[: phase.interactions.num_items])

choice = choose_blend(phase, vectors)
assert {tried["long_tail"]["weight"] for tried in choice.tried} == {0.0, 0.25, 0.5, 1.0}

blend = Blend.of_terms(long_tail={"weight": 0.5})
assert blend.explain() == {"long tail": 0.5} and Blend.read(blend.document()) == blend
everybody = np.arange(phase.interactions.num_users, dtype=np.int32)
gain = blended(phase, vectors, blend).score(everybody) - vectors.score(everybody)
spread = vectors.score(everybody).std(axis=1).mean()
np.testing.assert_allclose(gain.std(axis=1), 0.5 * spread, rtol=0.02)
counts = phase.interactions.matrix().getnnz(axis=0)
assert counts[gain[0].argmax()] == counts.min()
assert "recsys.scores.terms.long_tail" in reached_modules("pipelines.stages.blend")
"""

ROUTE = """
import sys
from pathlib import Path
from serving.settings import Settings
from servers import ask, running

bundle = Path(sys.argv[1]) / "tests/pipelines/old_run/bundle"
with running(Settings(bundle=bundle.resolve())) as address:
    status, document = ask(f"{address}/v1/size")
    assert status == 200 and document["items"] > 0, document
    status, api = ask(f"{address}/openapi.json")
    assert "/v1/size" in api["paths"]
"""

LOSS = """
import polars as pl
from recsys import GraphRecommender

rows = [(f"u{user}", f"i{(user * 7 + step) % 12}") for user in range(30) for step in range(5)]
log = pl.DataFrame(rows, schema=["user_id", "item_id"], orient="row")
model = GraphRecommender(loss="margin", epochs=2, width=8, heads=2, early_stopping=False).fit(log)
assert len(model.recommend(["u1"], k=3)) == 3
"""

EDGE_TYPE = """
from dataclasses import replace
import numpy as np
import polars as pl
from recsys.core.config import GraphConfig
from recsys.graph.build import build_graph
from worlds import make_interactions

log = make_interactions()
log = replace(log, time=np.arange(len(log)) // 30 * 86_400)
graph = build_graph(log, GraphConfig(target=log.behaviors[0]))
edges = graph.relations["item", "same_day", "item"]

users_and_days = {}
for user, item, time in zip(log.user, log.item, log.time):
    users_and_days.setdefault((user, time // 86_400), set()).add(item)
pairs = sum(len(items) * (len(items) - 1) for items in users_and_days.values())
assert edges.weight.sum() == pairs > 0, (edges.weight.sum(), pairs)

items = pl.DataFrame({"genres": ["a" if item % 2 else "b" for item in range(log.num_items)]})
config = GraphConfig(
    target=log.behaviors[0], attributes=[{"side": "item", "column": "genres"}]
)
graph = build_graph(log, config, item_table=items)
assert ("item", "genres", "item:genres") in graph.relations, list(graph.relations)
"""

HISTORY = """
from dataclasses import replace

import numpy as np
import polars as pl

from recsys.core.config import GraphConfig
from recsys.core.history import user_histories
from recsys.encode.fold_in import history_neighbours
from recsys.graph.build import build_graph
from worlds import make_encoder, make_interactions, make_neighbours

DAY = 86_400
log = make_interactions()
days_ago = np.where(np.arange(len(log)) % 2, 365, 900)
days_ago[0] = 0
now = 1_700_000_000
log = replace(log, time=now - days_ago * DAY)

# Training: a row of 900 days counts like one of 365.
config = GraphConfig(target="buy", half_life_days=100)
edges = build_graph(log, config).relations["user", "buy", "item"]
assert edges.weight.min() >= np.float32(2 ** (-365 / 100)), edges.weight.min()

# Serving: so do the events of a visitor.
encoder = replace(make_encoder(make_neighbours(log)), half_life_days=100, now=now, half_life_events=None)
recent = user_histories(replace(log, time=np.full(len(log), now - 365 * DAY)))
older = user_histories(replace(log, time=np.full(len(log), now - 900 * DAY)))
for name, rows in history_neighbours(encoder, recent).items():
    np.testing.assert_array_equal(rows.toarray(), history_neighbours(encoder, older)[name].toarray())
"""

SEARCHER = """
import numpy as np
from recsys.core.config import IndexConfig
from recsys.search.exact import ExactIndex
from recsys.search.searchers import load_searcher
from recsys.search.tuning import tune
from pathlib import Path

rng = np.random.default_rng(0)
scale = 0.7 ** np.arange(16)
items = (rng.normal(size=(2000, 16)) * scale).astype(np.float32)
queries = (rng.normal(size=(500, 16)) * scale).astype(np.float32)
tuned = tune(items, queries, IndexConfig(kind="projection", target_recall=0.9))
folder = Path("bundle")
folder.mkdir()
tuned.index.save(folder)
card = {"kind": "projection", "parameters": tuned.index.parameters}
searcher = load_searcher(folder, items, card)
hits = searcher.search(queries, 10)
exact = ExactIndex(items).search(queries, 10)
shared = [len(set(a) & set(b)) for a, b in zip(hits.items, exact.items)]
assert np.mean(shared) / 10 >= 0.9, np.mean(shared)
"""

FILE_FORMAT = """
import polars as pl
from recsys.core.config import DataConfig
from recsys.logs.read import scan_log
from recsys.logs.side_tables import read_items

log = pl.DataFrame({"user_id": ["a", "b", None], "item_id": ["x", "y", "x"]})
log.write_avro("log.avro")
pl.DataFrame({"item_id": ["x"], "title": ["Ex"]}).write_avro("items.dat")  # by its first bytes
data = DataConfig(log="log.avro", items="items.dat")
rows, drops = scan_log("log.avro", data).collect()
assert len(rows) == 2 and drops.total() == 1, (rows, drops)
assert "Ex" in str(read_items(data))
"""

USES = {
    "a file format": FILE_FORMAT,
    "how a history weighs": HISTORY,
    "a searcher": SEARCHER,
    "a metric": METRIC,
    "a loss": LOSS,
    "an edge type": EDGE_TYPE,
    "a baseline": BASELINE,
    "a term of scores": TERM,
    "an HTTP route": ROUTE,
}


def recipes() -> dict[str, str]:
    """The text of each section by its title."""
    sections = PAGE.read_text(encoding="utf-8").split("\n## ")[1:]
    return {section.split("\n", 1)[0]: section for section in sections}


def follow(recipe: str, tree: Path) -> set[str]:
    """Do what the recipe says in the tree; the files that it touched."""
    touched = set()
    path = ""
    for step in STEP.finditer(recipe):
        path = step["new"] or step["whole"] or step["path"] or path
        target = tree / path
        touched.add(path)
        if step["new"]:
            assert not target.exists(), f"{path} is not new"
            target.write_text(step["code"], encoding="utf-8")
            continue
        text = target.read_text(encoding="utf-8")
        if step["whole"]:
            text += step["code"]
        else:
            text = _inserted(text, step["anchor"], step["place"], step["code"])
        target.write_text(text, encoding="utf-8")
    return touched


def _inserted(text: str, anchor: str, place: str, code: str) -> str:
    lines = text.splitlines(keepends=True)
    places = [number for number, line in enumerate(lines) if line.startswith(anchor)]
    assert len(places) == 1, f"{anchor!r} is there {len(places)} times"
    at = places[0] + (place == "below")
    space = "\n\n" if code.startswith(("def ", "class ", "@")) else ""
    return "".join([*lines[:at], code, space, *lines[at:]])


@pytest.mark.parametrize("title", USES)
def test_what_a_recipe_adds_can_be_used(title: str, tmp_path: Path) -> None:
    for package in ("recsys", "pipelines", "serving"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=ignored)
    touched = follow(recipes()[title], tmp_path)
    assert 1 <= len(touched) <= 2, touched

    paths = [str(tmp_path), str(ROOT / "tests" / "support")]
    finished = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(USES[title]), str(ROOT)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "COVERAGE_PROCESS_START": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr


def test_every_recipe_is_used() -> None:
    assert set(recipes()) - {"a stage"} == set(USES)
