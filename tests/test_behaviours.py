"""Behaviours beside the target: what was met gains, what was viewed is heard, what was disliked
speaks against.
"""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from recsys.closed_form.conversion import conversion
from recsys.core.config import build_config
from recsys.core.errors import ConfigError
from recsys.core.tables import BEHAVIOR, ITEM_ID, TIME, USER_ID
from recsys.fitting.fit import fit_phase
from recsys.graph.build import left_out
from recsys.graph.parts import without
from recsys.logs.ingest import ingest, load_log
from recsys.logs.split import split_log
from recsys.phases.phase import Phase
from recsys.scores.additions import blended, fit_history
from recsys.scores.blend import Blend
from recsys.scores.choice import choose_blend
from recsys.scores.inputs import auxiliary_behaviors
from recsys.scores.terms.auxiliary_behaviors import AuxiliarySettings
from recsys.search.exact import VectorScorer

USERS, ITEMS, GROUPS = 240, 60, 2


def phases(folder, log, target="buy", **sections):
    """ "select" and "final" of a log without times, a random share of each user held out."""
    sections.setdefault("graph", {})["target"] = target
    config = build_config({"split": {"method": "random"}, "train": {"metric_k": 5}} | sections)
    ingest(log, config.data, config.clean, folder)
    coded = load_log(folder)
    splits = split_log(coded, config.split, target, 0)
    return [Phase(name, coded, splits, config) for name in ("select", "final")]


def log_of(rows):
    users, items, behaviors = zip(*rows, strict=True)
    return pl.DataFrame(
        {USER_ID: [f"u{u}" for u in users], ITEM_ID: [f"i{i}" for i in items], BEHAVIOR: behaviors}
    )


@pytest.fixture(scope="module")
def viewers(tmp_path_factory):
    """Users view ten items of their group and buy five of them; half of the catalogue is never
    bought.
    """
    draw, rows = np.random.default_rng(0), []
    for user in range(USERS):
        own = np.arange(user % GROUPS, ITEMS, GROUPS)
        viewed = draw.choice(own, 16, replace=False)
        bought = [item for item in viewed if item < ITEMS / 2][:6]
        rows += [(user, item, "view") for item in viewed] + [(user, item, "buy") for item in bought]
    return phases(tmp_path_factory.mktemp("viewers"), log_of(rows))


def noise(phase):
    draw = np.random.default_rng(0)
    sizes = phase.interactions.num_users, phase.interactions.num_items
    return VectorScorer(*(draw.normal(size=(n, 4)).astype(np.float32) for n in sizes))


def test_conversion_by_hand():
    met = sparse.csr_matrix(np.array([[1, 1, 0], [1, 0, 0], [1, 1, 0]], np.float32))
    taken = sparse.csr_matrix(np.array([[1, 0, 0], [1, 0, 1], [0, 1, 0]], np.float32))
    overall = 3 / 5
    wanted = [(2 + 10 * overall) / (3 - 2 + 10), (1 + 10 * overall) / (2 - 1 + 10), overall]
    assert conversion(met, taken) == pytest.approx(np.array(wanted, np.float32))


def test_nobody_met_anything():
    nothing = sparse.csr_matrix((3, 2), dtype=np.float32)
    assert conversion(nothing, nothing).tolist() == [0, 0]


def test_what_was_viewed_and_leads_to_purchases_comes_first(viewers):
    select, final = viewers
    choice = choose_blend(select, noise(select))
    assert choice.blend.of(AuxiliarySettings).weight_of("view") > 0
    assert choice.value > 2 * choice.alone
    assert final.judge.ndcg(blended(final, noise(final), choice.blend)) > 0.5


def test_a_gain_is_in_units_of_the_vectors_scores(viewers):
    final = viewers[1]
    added = fit_history(
        final, noise(final), Blend.of_terms(auxiliary_behaviors={"weights": {"view": 2.0}})
    )
    spread = np.std(noise(final).score(np.arange(USERS, dtype=np.int32)), axis=1).mean()
    met = final.interactions.matrix(("view",))
    assert added.auxiliary_gains["view"][met.indices].mean() == pytest.approx(2 * spread, rel=0.02)
    assert set(added.auxiliary_behaviors) == {"view"}


USUAL = {"weight": 0.2}


def in_histories(weight):
    return Blend.of_terms(item_item=USUAL, history={"auxiliary_weight": weight})


def test_views_are_heard_in_the_table_and_in_histories(viewers):
    final = viewers[1]
    plain, heard = (
        fit_history(final, noise(final), in_histories(weight)) for weight in (0.0, 0.25)
    )
    assert heard.auxiliary_weights == {"view": 0.25} and plain.auxiliary_weights == {}
    assert heard.table.nnz > plain.table.nnz  # items that were viewed and never bought speak too
    scorer = blended(final, noise(final), in_histories(0.25))
    values = np.unique(scorer.histories.items.data)
    assert values.tolist() == [0.25, 1.0]


def test_a_log_of_one_behaviour_meets_nothing(viewers, tmp_path):
    rows = log_of([(user, item, "buy") for user in range(20) for item in range(user % 5, 20, 3)])
    select = phases(tmp_path, rows.drop(BEHAVIOR), "interaction")[0]
    assert auxiliary_behaviors(select) == []
    assert auxiliary_behaviors(viewers[0]) == ["view"]


@pytest.mark.parametrize(
    "changes",
    [
        {"blend": {"auxiliary_behaviors": False}},
        {"graph": {"behavior_weights": {"view": 0.0}}},
        {"graph": {"negative_behaviors": ["view"]}},
    ],
)
def test_behaviours_that_do_not_count_in_favour(viewers, changes):
    select = viewers[0]
    graph = {"target": "buy"} | changes.get("graph", {})
    config = build_config({"split": {"method": "random"}} | changes | {"graph": graph})
    assert auxiliary_behaviors(replace(select, config=config)) == []


def test_what_is_hidden_gains_nothing_and_is_heard(viewers):
    select = viewers[0]
    hidden = {"graph": {"target": "buy"}, "evaluate": {"seen_behaviors": ["buy", "view"]}}
    config = build_config({"split": {"method": "random"}, "train": {"metric_k": 5}} | hidden)
    choice = choose_blend(replace(select, config=config), noise(select))
    assert not any(one["auxiliary_behaviors"]["weights"] for one in choice.tried)
    assert {one["history"]["auxiliary_weight"] for one in choice.tried} > {0.0}


def test_seen_behaviours_must_be_those_of_the_log(viewers):
    config = build_config(
        {"graph": {"target": "buy"}, "evaluate": {"seen_behaviors": ["buy", "vieww"]}}
    )
    with pytest.raises(
        ConfigError, match=r"evaluate.seen_behaviors names 'vieww'.*Did you mean 'view'"
    ):
        _ = replace(viewers[0], config=config).seen


@pytest.fixture(scope="module")
def haters(tmp_path_factory):
    """Users like three items of their own group of six and two others, and dislike half of what is
    not of their group.
    """
    draw, rows, groups = np.random.default_rng(1), [], 6
    for user in range(USERS):
        own = np.arange(user % groups, ITEMS, groups)
        other = np.setdiff1d(np.arange(ITEMS), own)
        liked = {*draw.choice(own, 3, replace=False), *draw.choice(other, 2, replace=False)}
        rows += [(user, item, "like") for item in sorted(liked)]
        rows += [
            (user, item, "dislike")
            for item in draw.choice(np.setdiff1d(other, list(liked)), 25, replace=False)
        ]
    return log_of(rows)


def test_dislikes_hide_items_and_pay(haters, tmp_path):
    model = {
        "train": {"epochs": 15, "patience": 15, "batch_size": 128, "metric_k": 5, "shared_lr": 0.05}
    }
    base = model | {"split": {"method": "random", "test_share": 0.3}, "model": {"width": 16}}
    found = {}
    for name, graph in {
        "with": {"negative_behaviors": ["dislike"]},
        "without": {"behavior_weights": {"dislike": 0.0}},
    }.items():
        final = phases(tmp_path / name, haters, "like", graph=dict(graph), **base)[1]
        trained = fit_phase(final, final.graph, final.config.model, epochs=15)
        vectors = VectorScorer(trained.embeddings.users, trained.embeddings.items)
        found[name] = final.judge.ndcg(vectors)
        if name == "with":
            assert final.seen_behaviors == ("like", "dislike")
            gates = {
                key: float(gate)
                for key, gate in trained.network.state_dict().items()
                if ".gate." in key
            }
            assert min(value for key, value in gates.items() if key.endswith("rev_dislike")) < 0
            assert left_out(final.graph, final.config.graph, [], final.interactions.behaviors) == []
    assert found["with"] > 1.3 * found["without"]


def test_a_behaviour_without_rows_is_told(viewers):
    log = viewers[0].interactions
    empty = replace(log, behaviors=(*log.behaviors, "cart"))
    select = viewers[0]
    assert left_out(select.graph, select.config.graph, [], empty.behaviors) == ["cart"]
    assert TIME not in select.rows.columns


def test_a_graph_without_a_behaviour_stands_for_a_log_without_it(viewers):
    """What an ablation adds to its vectors knows nothing of the behaviour; items stay hidden."""
    final = viewers[1]
    without_views = final.with_graph(without(final.graph, "view"))
    assert auxiliary_behaviors(without_views) == [] and auxiliary_behaviors(final) == ["view"]
    assert without_views.seen_behaviors == final.seen_behaviors
    blend = Blend.of_terms(
        item_item=USUAL,
        history={"auxiliary_weight": 0.25},
        auxiliary_behaviors={"weights": {"view": 2.0}},
    )
    buys_only = viewers_who_buy(final)
    wanted = blended(buys_only, noise(final), Blend.of_terms(item_item=USUAL))
    found = blended(without_views, noise(final), blend)
    users = np.arange(USERS, dtype=np.int32)
    assert found.score(users) == pytest.approx(wanted.score(users), abs=1e-5)


def viewers_who_buy(phase):
    """The phase as if nothing but the target counted in its scores."""
    blend = phase.config.blend.model_copy(update={"met": False})
    return replace(phase, config=phase.config.model_copy(update={"blend": blend}))
