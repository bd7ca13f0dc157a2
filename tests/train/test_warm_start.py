import numpy as np
import polars as pl
import pytest

from recsys.core.config import AttributeConfig, GraphConfig, ModelConfig, TrainConfig
from recsys.core.errors import DataError, UsageError
from recsys.core.tables import USER_ID
from recsys.graph.build import build_graph
from recsys.logs.synthetic import communities
from recsys.train.loop import train
from recsys.train.problem import Problem
from recsys.train.warm_start import load_states

MODEL = ModelConfig(family="degree_prior", width=8, heads=2)
CONFIG = TrainConfig(epochs=8, batch_size=256, lr=0.02, negatives=64)


@pytest.fixture(scope="module")
def log() -> pl.DataFrame:
    return communities(num_users=60, num_items=40, events_per_user=12, seed=4).log


@pytest.fixture
def earlier(log, make_phase, tmp_path):
    """A training without the users u50 and later, in tmp_path."""
    phase = make_phase(log.filter(pl.col(USER_ID).str.slice(1).cast(pl.Int32) < 50))
    trained = train(
        Problem(phase, build_graph(phase, GraphConfig()), MODEL), CONFIG, folder=tmp_path, threads=1
    )
    return phase, trained


def test_old_states_are_found_by_outside_id_and_new_ones_are_small(
    log, make_phase, earlier, tmp_path
):
    old_phase, old = earlier
    phase = make_phase(log)
    warm = load_states(tmp_path).aligned(build_graph(phase, GraphConfig()), phase, 8)
    assert warm.known == {"user": 50, "item": old_phase.num_items}
    for outside in ("u0", "u17", "u49"):
        found = warm.states["user"][phase.users.internal(outside)]
        assert (found == old.embeddings.user_self[old_phase.users.internal(outside)]).all()
    fresh = warm.states["user"][phase.users.internal("u55")]
    size = np.sqrt(np.mean(old.embeddings.user_self**2))
    assert 0 < np.sqrt(np.mean(fresh**2)) < 0.3 * size


def test_warm_training_starts_lower_than_a_cold_one(log, make_phase, earlier, tmp_path):
    phase = make_phase(log)
    graph = build_graph(phase, GraphConfig())
    warm = load_states(tmp_path).aligned(graph, phase, 8)
    model = MODEL.model_copy(update={"start": "random"})
    first_losses = [
        train(Problem(phase, graph, model, start=start, shared=shared), CONFIG, epochs=1, threads=1)
        .history[0]
        .loss
        for start, shared in ((warm.states, warm.shared), (None, None))
    ]
    assert first_losses[0] < first_losses[1]


def test_training_goes_on_after_the_epochs_that_its_states_have_behind_them(
    log, make_phase, earlier, tmp_path
):
    phase = make_phase(log)
    graph = build_graph(phase, GraphConfig())
    warm = load_states(tmp_path).aligned(graph, phase, 8)
    problem = Problem(phase, graph, MODEL, start=warm.states, shared=warm.shared, first_epoch=6)
    trained = train(problem, CONFIG, epochs=8, threads=1, folder=tmp_path / "later")
    assert [record.epoch for record in trained.history] == [7, 8]
    assert trained.best_epoch == 8
    # Killed behind its last epoch it has nothing left to do, and the same weights.
    again = train(problem, CONFIG, epochs=8, threads=1, folder=tmp_path / "later")
    assert [record.epoch for record in again.history] == [7, 8]
    assert (again.embeddings.items == trained.embeddings.items).all()


@pytest.mark.parametrize(
    ("share", "chosen", "last"),
    [
        (0.25, 8, 2),
        (0.25, 5, 1),
        (0.25, 2, 1),
        (0.01, 3, 1),
        (1.0, 5, 5),
        (0.25, 1, 1),
        (0.25, 0, 0),
    ],
)
def test_the_refit_goes_through_a_share_of_the_epochs_and_one_at_least(share, chosen, last):
    assert TrainConfig(refit_share=share).refit_epochs(chosen) == last


def test_shared_numbers_are_taken_over(log, make_phase, earlier, tmp_path):
    _, old = earlier
    phase = make_phase(log)
    graph = build_graph(phase, GraphConfig())
    warm = load_states(tmp_path).aligned(graph, phase, 8)
    new = train(
        Problem(phase, graph, MODEL, start=warm.states, shared=warm.shared),
        CONFIG,
        epochs=0,
        threads=1,
    )
    learnt = dict(old.network.named_parameters())
    for name, parameter in new.network.named_parameters():
        if not name.startswith("tables."):
            # Single numbers, such as degree exponents, are no exception.
            assert parameter.tolist() == learnt[name].tolist(), name


def test_attribute_nodes_are_aligned_by_label(make_phase, tmp_path):
    world = communities(num_users=40, num_items=20, events_per_user=8, seed=1)
    config = GraphConfig(attributes=[AttributeConfig(column="genres")])
    phase = make_phase(world.log)
    table = pl.DataFrame({"item_id": phase.items.ids}).join(
        world.items, on="item_id", how="left", maintain_order="left"
    )
    graph = build_graph(phase, config, table)
    old = train(Problem(phase, graph, MODEL), CONFIG, epochs=1, folder=tmp_path, threads=1)
    fewer = table.with_columns(pl.col("genres").list.slice(0, 1))
    other = build_graph(phase, config, fewer)
    warm = load_states(tmp_path).aligned(other, phase, 8)
    was, now = graph.labels["item:genres"], other.labels["item:genres"]
    assert warm.known["item:genres"] == len(now) < len(was)
    for place, label in enumerate(now):
        state = old.network.table("item:genres")[was.index(label)]
        assert warm.states["item:genres"][place].tolist() == state.tolist()


def test_what_does_not_fit_is_named(phase, graph, earlier, tmp_path):
    with pytest.raises(UsageError, match="holds no trained states"):
        load_states(tmp_path / "nowhere").aligned(graph, phase, 8)
    with pytest.raises(
        DataError, match=r"states in '.*' are 8 wide, model\.width is 16.*Set model\.width = 8"
    ):
        load_states(tmp_path).aligned(graph, phase, 16)
