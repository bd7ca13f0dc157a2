"""What every searcher promises, and one that is added by its name alone."""

import json
from dataclasses import dataclass, replace

import numpy as np
import pytest

from pipelines.plan import plan
from recsys.core.config import IndexConfig, build_config
from recsys.core.errors import ConfigError, DataError
from recsys.core.ranking import NO_ITEM, Hits
from recsys.fitting.known_names import require_known_names
from recsys.search import latency
from recsys.search.cost import scan_work
from recsys.search.exact import ExactIndex, select
from recsys.search.recall import hit_shares
from recsys.search.searcher import Build, SearcherKind
from recsys.search.searchers import SEARCHERS, kinds_to_try, load_searcher
from recsys.search.tuning import settings, tune


def clustered(count: int, seed: int) -> np.ndarray:
    """(count, 16) unit vectors around twelve centres."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(7).normal(size=(12, 16))
    vectors = centres[rng.integers(0, 12, count)] + 0.6 * rng.normal(size=(count, 16))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


ITEMS, QUERIES = clustered(700, 0), clustered(300, 1)


@dataclass(frozen=True)
class PrefixSearcher:
    """Ranks by the first columns of the vectors, then scores twice as many by all of them."""

    item_vectors: np.ndarray
    parameters: dict[str, int]
    kind = "prefix"
    num_bytes = 0

    def search(self, queries, k, allow=None):
        width = min(self.parameters["columns"], queries.shape[1])
        rough = queries[:, :width] @ self.item_vectors[:, :width].T
        if allow is not None:
            rough[:, ~allow] = -np.inf
        near = np.sort(select(rough, 2 * k).items, axis=1)
        scores = np.einsum("nfd,nd->nf", self.item_vectors[near], queries)
        scores[near == NO_ITEM] = -np.inf
        best = select(scores.astype(np.float32), k)
        items = np.take_along_axis(near, np.maximum(best.items, 0), axis=1)
        return Hits(np.where(best.items == NO_ITEM, NO_ITEM, items), best.scores)

    def work(self, k):
        width = min(self.parameters["columns"], self.item_vectors.shape[1])
        return scan_work(len(self.item_vectors), width)

    def efforts(self, k):
        return [{"columns": columns} for columns in (2, 8, 1000)]

    def with_parameters(self, parameters):
        return replace(self, parameters=parameters)

    def over(self, item_vectors):
        return replace(self, item_vectors=item_vectors)

    def save(self, folder):
        (folder / "prefix.json").write_text(json.dumps(len(self.item_vectors)))


def build_prefix(item_vectors, seed):
    yield Build(PrefixSearcher(item_vectors, {}), {}, 0.0)


def load_prefix(folder, item_vectors, parameters):
    assert json.loads((folder / "prefix.json").read_text()) == len(item_vectors)
    return PrefixSearcher(item_vectors, parameters)


@pytest.fixture
def prefix(monkeypatch):
    monkeypatch.setitem(SEARCHERS, "prefix", SearcherKind(build_prefix, load_prefix))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(latency, "_TIMED_QUERIES", 5)
    monkeypatch.setattr(latency, "_WARM_UP", 1)


def most_thorough(kind):
    return list(settings(kind, ITEMS, 10, 0))[-1].searcher


KINDS = [*SEARCHERS, "prefix"]


@pytest.mark.usefixtures("prefix")
@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_true_and_lists_fall(kind):
    hits = most_thorough(kind).search(QUERIES, 10)
    assert hits.items.shape == hits.scores.shape == (len(QUERIES), 10)
    assert (np.diff(hits.scores, axis=1) <= 0).all()
    products = np.einsum("nkd,nd->nk", ITEMS[hits.items], QUERIES)
    assert np.allclose(hits.scores, products, atol=1e-5)
    assert hit_shares(hits, ExactIndex(ITEMS).search(QUERIES, 10)).mean() > 0.95


@pytest.mark.usefixtures("prefix")
@pytest.mark.parametrize("kind", KINDS)
def test_what_was_saved_searches_alike(kind, tmp_path):
    searcher = most_thorough(kind)
    searcher.save(tmp_path)
    card = {"kind": searcher.kind, "parameters": searcher.parameters}
    again = load_searcher(tmp_path, ITEMS, card)
    assert (again.kind, again.parameters) == (kind, searcher.parameters)
    assert again.num_bytes == searcher.num_bytes
    assert (again.search(QUERIES, 10).items == searcher.search(QUERIES, 10).items).all()


@pytest.mark.usefixtures("prefix")
@pytest.mark.parametrize("kind", KINDS)
def test_fewer_columns_are_searched_as_with_zeros_in_the_query(kind):
    searcher = most_thorough(kind)
    cut = searcher.over(ITEMS[:, :-1]).search(QUERIES[:, :-1], 10)
    zeros = np.column_stack([QUERIES[:, :-1], np.zeros(len(QUERIES), np.float32)])
    assert (cut.items == searcher.search(zeros, 10).items).all()


@pytest.mark.usefixtures("prefix")
@pytest.mark.parametrize("kind", KINDS)
def test_more_thorough_is_more_work(kind):
    work = [setting.searcher.work(10).milliseconds() for setting in settings(kind, ITEMS, 10, 0)]
    assert all(0 < milliseconds < 10 for milliseconds in work)
    assert work[0] == min(work) < work[-1] == max(work)


@pytest.mark.usefixtures("prefix")
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_but_what_is_allowed(kind):
    allow = np.arange(len(ITEMS)) % 3 == 0
    hits = most_thorough(kind).search(QUERIES, 10, allow)
    assert allow[hits.items[hits.items != NO_ITEM]].all()


@pytest.mark.usefixtures("prefix")
def test_an_added_searcher_is_tuned_to_the_recall():
    config = IndexConfig(kind="prefix", target_recall=0.9, k=10)
    tuned = tune(ITEMS, QUERIES, config, popularity=np.arange(len(ITEMS)))
    assert tuned.card["kind"] == tuned.index.kind == "prefix"
    assert tuned.card["recall_lower_bound"] >= 0.9
    assert set(tuned.card["dial"]["recall"]) == {"-1", "+1"}
    assert require_known_names(build_config({"index": {"kind": "prefix"}}))


def test_auto_tries_those_that_say_so():
    assert kinds_to_try("auto") == ("ivf", "hnsw", "pq")
    assert kinds_to_try("exact") == ()
    assert kinds_to_try("hnsw") == ("hnsw",)


@pytest.mark.parametrize(
    ("kind", "remedy"), [("hnws", "Did you mean 'hnsw'"), ("annoy", "Known: auto, exact, ivf")]
)
def test_an_unknown_kind_is_refused_before_anything_runs(kind, remedy):
    config = build_config({"index": {"kind": kind}})
    for refuse in (require_known_names, plan, lambda config: tune(ITEMS, QUERIES, config.index)):
        with pytest.raises(ConfigError, match=f"index.kind = '{kind}'") as caught:
            refuse(config)
        assert remedy in str(caught.value)


def test_a_searcher_that_is_not_there_any_more_is_named(tmp_path):
    with pytest.raises(DataError, match=r"'scann', which this version.*index.kind = 'ivf'"):
        load_searcher(tmp_path, ITEMS, {"kind": "scann", "parameters": {}})
