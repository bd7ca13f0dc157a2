"""No way from the test period into the model: it cannot find random future pairs, unless they are
handed to it.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recsys.core.config import RunConfig, build_config
from recsys.core.interactions import dense_of
from recsys.core.ranking import top_k
from recsys.core.tables import ITEM_ID, USER_ID
from recsys.fitting.fit import fit_phase
from recsys.logs.canary import Planted, p_value, plant_canaries
from recsys.logs.ingest import CodedLog, ingest, load_log
from recsys.logs.split import split_log
from recsys.logs.synthetic import communities
from recsys.phases.phase import Phase, PhaseName
from recsys.scores.additions import blended
from recsys.scores.blend import Blend
from recsys.search.exact import VectorScorer

K = 10
CONFIG: RunConfig = build_config(
    {
        "model": {"width": 16},
        "train": {"negatives": 64, "batch_size": 512},
        "split": {"test_share": 0.1},
    }
)
SIMILAR = {"item_neighbours": {"min_shared": 1}, "user_neighbours": {"min_shared": 1}}


@pytest.fixture(scope="module")
def planted() -> Planted:
    return plant_canaries(communities(num_items=400, events_per_user=30).log, count=150, seed=1)


@pytest.fixture(scope="module")
def log(planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> CodedLog:
    folder: Path = tmp_path_factory.mktemp("canary") / "log"
    ingest(planted.log, CONFIG.data, CONFIG.clean, folder)
    return load_log(folder)


@pytest.mark.parametrize("graph", [{}, SIMILAR], ids=["pairs", "similar"])
@pytest.mark.parametrize(("phase", "found"), [("select", False), ("final", False), ("serve", True)])
def test_only_a_model_that_saw_the_future_finds_it(
    planted: Planted, log: CodedLog, phase: PhaseName, found: bool, graph: dict
) -> None:
    """ "serve" learns from the whole log, canaries included: it shows that the test can fail."""
    config = build_config({**CONFIG.model_dump(), "graph": graph})
    splits = split_log(log, config.split, "interaction", config.seed)
    learned = Phase(phase, log, splits, config)
    vectors = fit_phase(learned, learned.graph, config.model, epochs=15).embeddings
    blend = Blend.of_terms(
        item_item={"weight": 0.2}, low_pass={"weight": 0.05}, history={"half_life_events": 20.0}
    )
    scorer = blended(learned, VectorScorer(vectors.users, vectors.items), blend)
    scores = scorer.score(np.arange(learned.interactions.num_users, dtype=np.int32))
    past = Phase("final", log, splits, config).interactions
    user = dense_of(past.user_codes[past.user], learned.interactions.user_codes)
    item = dense_of(past.item_codes[past.item], learned.interactions.item_codes)
    known = (user >= 0) & (item >= 0)
    scores[user[known], item[known]] = -np.inf
    hits, trials = _hits(planted, log, learned, scores)
    assert trials > 130
    assert (p_value(hits, trials, K * planted.chance) < 1e-3) == found


@pytest.mark.parametrize("phase", ["select", "final"])
def test_similarities_do_not_know_what_is_held_out(log: CodedLog, phase: PhaseName) -> None:
    """The graph stays, edge for edge, when nothing is held out behind it."""
    config = build_config({**CONFIG.model_dump(), "graph": SIMILAR})
    splits = split_log(log, config.split, "interaction", 0)
    others = {name: splits.test.head(0) for name in ("validation", "test")[phase == "final" :]}
    with_held_out, without = (
        Phase(phase, log, some, config) for some in (splits, replace(splits, **others))
    )
    for node_type, table in with_held_out.similar.items():
        assert table.nnz
        assert (table != without.similar[node_type]).nnz == 0


@pytest.mark.parametrize("phase", ["select", "final"])
def test_sessions_do_not_know_what_is_held_out(log: CodedLog, phase: PhaseName) -> None:
    """The links of consecutive items stay, edge for edge, when nothing is held out behind them."""
    graph = {"sessions": {"gap_minutes": 60 * 24 * 30, "min_count": 1}}
    config = build_config({**CONFIG.model_dump(), "graph": graph})
    splits = split_log(log, config.split, "interaction", 0)
    others = {name: splits.test.head(0) for name in ("validation", "test")[phase == "final" :]}
    graphs = (Phase(phase, log, some, config).graph for some in (splits, replace(splits, **others)))
    with_held_out, without = (graph.relations["item", "next", "item"] for graph in graphs)
    assert with_held_out.num_edges
    assert with_held_out.indices.tolist() == without.indices.tolist()
    assert with_held_out.time.max() <= splits.rows(phase)["timestamp"].max()


def _hits(planted: Planted, log: CodedLog, learned: Phase, scores: np.ndarray) -> tuple[int, int]:
    """Canaries among the K best of their users, and how many canaries have a vector on both sides."""
    user = dense_of(
        log.users.lookup(planted.canaries[USER_ID].to_list()), learned.interactions.user_codes
    )
    item = dense_of(
        log.items.lookup(planted.canaries[ITEM_ID].to_list()), learned.interactions.item_codes
    )
    warm = (user >= 0) & (item >= 0)
    best = top_k(scores[user[warm]].astype(np.float32), K).items
    return int((best == item[warm][:, None]).any(axis=1).sum()), int(warm.sum())
