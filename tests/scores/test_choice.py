"""Blends are chosen by validation alone, and leave the table out where it does not help."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from fashion import fashion
from recsys.closed_form.gfcf import fit_gfcf
from recsys.core.config import build_config
from recsys.core.history import WeightedHistories
from recsys.encode.history_scores import BlendedScorer
from recsys.graph.parts import without
from recsys.logs.ingest import ingest, load_log
from recsys.logs.split import split_log
from recsys.logs.synthetic import communities
from recsys.phases.judge import Judge
from recsys.phases.phase import Phase
from recsys.scores.additions import blended, fit_history
from recsys.scores.blend import NO_BLEND, Blend
from recsys.scores.choice import choose_blend
from recsys.scores.terms.item_item import ItemItemSettings, freshness
from recsys.scores.terms.trend import TrendSettings
from recsys.search.exact import VectorScorer


@pytest.fixture(scope="module")
def phases(tmp_path_factory):
    config = build_config({"split": {"method": "random"}, "train": {"metric_k": 5}})
    folder = tmp_path_factory.mktemp("log")
    ingest(communities(seed=1).log, config.data, config.clean, folder)
    log = load_log(folder)
    splits = split_log(log, config.split, "interaction", 0)
    return {name: Phase(name, log, splits, config) for name in ("select", "final")}


def noise(phase, seed=0):
    rng = np.random.default_rng(seed)
    sizes = (phase.interactions.num_users, phase.interactions.num_items)
    return VectorScorer(*(rng.normal(size=(n, 8)).astype(np.float32) for n in sizes))


def test_the_table_saves_vectors_that_know_nothing(phases):
    choice = choose_blend(phases["select"], noise(phases["select"]))
    assert not choice.blend.empty
    assert choice.value > 2 * choice.alone
    final = phases["final"]
    assert final.judge.ndcg(blended(final, noise(final), choice.blend)) > 2 * final.judge.ndcg(
        noise(final)
    )


def test_vectors_that_know_the_answer_are_left_alone(phases):
    select = phases["select"]
    answers = select.judge.held_out_matrix.toarray()
    left, values, right = np.linalg.svd(answers, full_matrices=False)
    oracle = VectorScorer((left * values).astype(np.float32), right.T.astype(np.float32))
    choice = choose_blend(select, oracle)
    assert choice.alone == pytest.approx(1.0)
    assert choice.blend == NO_BLEND and choice.blend.empty
    assert choice.value == choice.alone


@dataclass(frozen=True)
class JudgeOf(Judge):
    """Says of every scorer what a function of it says."""

    value: Callable[[VectorScorer | BlendedScorer], float] = field(kw_only=True)

    def per_user(self, scorer, users=None):
        return np.full(len(users), self.value(scorer))


def judged_by(phase, value):
    """The phase with `value` in place of its NDCG."""
    judged = replace(phase)
    judged.__dict__["judge"] = JudgeOf(judged, value=value)
    return judged


@pytest.fixture
def the_long_way(monkeypatch):
    """Blends are judged by the judge of the phase."""
    monkeypatch.setattr("recsys.scores.judged_blends.BLOCK_ENTRIES", 0)


def added_weight(scorer):
    """Of what a scorer adds to its vectors; 0 for the vectors alone."""
    if isinstance(scorer, VectorScorer):
        return 0.0
    return float(np.abs(scorer.score(np.arange(5, dtype=np.int32))).sum())


ALONE = 0.2


@pytest.mark.usefixtures("the_long_way")
def test_what_does_harm_everywhere_is_left_out(phases):
    """The less is added the better, so that the last of many steps is close to nothing, and worse."""
    harm = judged_by(
        phases["select"],
        lambda scorer: ALONE - min(added_weight(scorer), 1) / 10 - (added_weight(scorer) > 0) / 500,
    )
    choice = choose_blend(harm, noise(harm))
    assert choice.blend == NO_BLEND
    assert choice.value == choice.alone == ALONE


@pytest.mark.usefixtures("the_long_way")
def test_among_equals_nothing_is_added(phases):
    equal = judged_by(phases["select"], lambda scorer: ALONE)
    choice = choose_blend(equal, noise(equal))
    assert choice.blend == NO_BLEND
    assert choice.value == choice.alone == ALONE


@pytest.mark.usefixtures("the_long_way")
def test_what_helps_is_added(phases):
    better = judged_by(phases["select"], lambda scorer: ALONE + min(added_weight(scorer), 1.0))
    choice = choose_blend(better, noise(better))
    assert not choice.blend.empty
    assert choice.value > choice.alone == ALONE


def test_the_same_choice_again(phases):
    first, second = (choose_blend(phases["select"], noise(phases["select"])) for _ in range(2))
    assert first == second


def test_weight_nought_is_the_vectors_alone(phases):
    vectors = noise(phases["final"])
    assert blended(phases["final"], vectors, NO_BLEND) is vectors


@pytest.mark.parametrize(
    "terms", [{"item_item": {"weight": 0.5}}, {"low_pass": {"weight": 0.5, "rank": 16}}]
)
def test_the_weights_are_in_units_of_the_vectors_scores(phases, terms):
    """Vectors ten times as long get ten times as much added: the same lists."""
    blend = Blend.of_terms(**terms)
    final, vectors = phases["final"], noise(phases["final"])
    longer = VectorScorer(10 * vectors.user_vectors, vectors.item_vectors)
    small, large = (fit_history(final, one, blend) for one in (vectors, longer))
    assert large.table.toarray() == pytest.approx(10 * small.table.toarray(), rel=1e-4)
    assert large.into == pytest.approx(10 * small.into, rel=1e-4)
    assert np.array_equal(
        final.judge.ranked(blended(final, vectors, blend), 5),
        final.judge.ranked(blended(final, longer, blend), 5),
    )


def test_the_low_pass_alone_is_that_of_gfcf(phases):
    final = phases["final"]
    nothing = VectorScorer(*(0 * part for part in vars(noise(final)).values()))
    alike = fit_history(final, noise(final), Blend.of_terms(low_pass={"weight": 1.0, "rank": 8}))
    rows = final.interactions.matrix()
    [gfcf] = fit_gfcf(final.interactions, final.target, [(8, 1.0)], 0)
    users = np.arange(final.interactions.num_users, dtype=np.int32)
    wanted = (rows @ gfcf.into) @ gfcf.back
    found = BlendedScorer(nothing, alike, WeightedHistories(rows, {})).score(users)
    for ours, theirs in zip(found, wanted, strict=True):
        assert np.corrcoef(ours, theirs)[0, 1] == pytest.approx(1.0, abs=1e-5)


def with_attributes(weight):
    return Blend.of_terms(item_item={"weight": 0.2, "attribute_weight": weight})


def test_attributes_speak_in_the_table(tmp_path):
    """Of few events, items of one genre belong together: the weight of that is on the grid, and
    helps.
    """
    world = communities(events_per_user=6, num_users=80, seed=2)
    world.log.write_parquet(tmp_path / "log.parquet")
    world.items.write_parquet(tmp_path / "items.parquet")
    raw = {
        "split": {"method": "random"},
        "train": {"metric_k": 5},
        "graph": {"attributes": [{"column": "genres"}]},
    }
    config = build_config(
        raw
        | {"data": {"log": str(tmp_path / "log.parquet"), "items": str(tmp_path / "items.parquet")}}
    )
    ingest(config.data.log, config.data, config.clean, tmp_path / "ingested")
    log = load_log(tmp_path / "ingested")
    select = Phase("select", log, split_log(log, config.split, "interaction", 0), config)
    choice = choose_blend(select, noise(select))
    assert {one["item_item"]["attribute_weight"] for one in choice.tried} > {0.0}
    assert choice.blend.of(ItemItemSettings).attribute_weight > 0
    best_without = max(
        one["value"] for one in choice.tried if not one["item_item"]["attribute_weight"]
    )
    assert choice.value > best_without
    plain, with_side = (
        fit_history(select, noise(select), with_attributes(weight)) for weight in (0.0, 1.0)
    )
    assert with_side.table.nnz > plain.table.nnz
    # Without the attribute in the graph, nothing of it is in the table.
    ablated = select.with_graph(without(select.graph, "genres"))
    same = fit_history(ablated, noise(select), with_attributes(1.0))
    assert (same.table != plain.table).nnz == 0


def test_what_was_taken_of_late_counts_where_the_future_is_asked_for(tmp_path):
    phase = fashion(tmp_path, "global_time")
    choice = choose_blend(phase, noise(phase))
    trend = choice.blend.of(TrendSettings)
    assert trend.weight > 0 and trend.half_life_days < 10
    assert choice.value > 2 * choice.alone
    found = blended(phase, noise(phase), choice.blend)
    assert phase.judge.ndcg(found) == pytest.approx(choice.value)
    latest = np.argsort(-found.added.trend)[:5]
    assert set(phase.interactions.items.external(latest)) <= {str(day) for day in range(35, 60)}


@pytest.mark.parametrize(("method", "blend"), [("random", {}), ("global_time", {"trend": False})])
def test_it_counts_nowhere_else(tmp_path, method, blend):
    phase = fashion(tmp_path, method, popularity=False, **blend)
    assert choose_blend(phase, noise(phase)).blend == NO_BLEND


def test_the_table_is_told_what_is_fresh(tmp_path):
    """Of tastes that stay and items that go, neither the table nor the trend alone finds what is
    taken next.
    """
    phase = fashion(tmp_path, "global_time", tastes=4, neighbours=50)
    choice = choose_blend(phase, noise(phase))
    table = choice.blend.of(ItemItemSettings)
    assert table.weight > 0 and table.half_life_days < 10
    stale = max(one["value"] for one in choice.tried if one["item_item"]["half_life_days"] is None)
    assert choice.value > 1.1 * stale


def test_freshness_is_in_the_columns_of_the_table(tmp_path):
    phase = fashion(tmp_path, "global_time", neighbours=50)
    fresh = freshness(phase.interactions, phase.target, 4.0)
    plain, scaled = (
        fit_history(
            phase,
            noise(phase),
            Blend.of_terms(item_item={"weight": 0.2, "half_life_days": days}),
        )
        for days in (None, 4.0)
    )
    wanted = plain.table.toarray() * fresh
    assert scaled.table.toarray() == pytest.approx(
        wanted * scaled.table.sum() / wanted.sum(), rel=1e-3
    )
