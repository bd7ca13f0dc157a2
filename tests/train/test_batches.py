import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from recsys.core.config import GraphConfig, TrainConfig, build_config
from recsys.core.errors import ConfigError
from recsys.core.ids import IdMap
from recsys.core.interactions import fit_interactions
from recsys.core.tables import ITEM as ITEM_CODE
from recsys.core.tables import TIME
from recsys.core.tables import USER as USER_CODE
from recsys.graph.build import build_graph
from recsys.graph.sampling import BlockSampler
from recsys.graph.schema import ITEM, USER
from recsys.graph.temporal import TemporalSampler
from recsys.train.batches import Batches, batch_size, pair_moments, with_epochs

KNOWN = sparse.csr_matrix(np.array([[1, 1, 0, 0, 0], [0, 1, 0, 0, 1], [0, 0, 1, 0, 0]], np.float32))


def pairs_of(batches, epoch):
    return [
        pair
        for batch in batches.epoch(epoch)
        for share in batch.groups
        for pair in zip(share.users.tolist(), share.positives.tolist(), strict=True)
    ]


@pytest.mark.parametrize(
    ("pairs", "size", "epochs"),
    [
        (500, 1024, 20),  # a step an epoch
        (72_000, 1440, 20),  # fifty steps
        (650_000, 4096, 7),  # 159 steps
        (3_260_000, 4096, 3),  # 796 steps
    ],
)
def test_a_large_log_takes_fewer_passes(pairs, size, epochs):
    assert batch_size(pairs, TrainConfig()) == size
    assert with_epochs(TrainConfig(), pairs).epochs == epochs


def test_a_number_of_epochs_that_is_given_stays():
    assert with_epochs(TrainConfig(epochs=40), 3_260_000).epochs == 40
    assert with_epochs(TrainConfig(epochs=0), 500).epochs == 0


def test_every_pair_once_an_epoch_in_another_order():
    batches = Batches(KNOWN, TrainConfig(batch_size=2, share_size=1), 0, None)
    first, second = pairs_of(batches, 0), pairs_of(batches, 1)
    everything = sorted(zip(*KNOWN.nonzero(), strict=True))
    assert sorted(first) == sorted(second) == everything
    assert batches.steps == 3


def test_a_step_depends_on_its_keys_alone():
    config = TrainConfig(batch_size=2, negatives=3)
    once, again = (list(Batches(KNOWN, config, 7, None).epoch(3)) for _ in range(2))
    other = list(Batches(KNOWN, config, 8, None).epoch(3))
    for left, right in zip(once, again, strict=True):
        assert torch.equal(left.groups[0].candidates, right.groups[0].candidates)
        assert torch.equal(left.hidden, right.hidden) and left.key == right.key
    assert [batch.key for batch in once] != [batch.key for batch in other]


@given(st.integers(0, 2**31), st.booleans())
def test_known_positives_are_masked_and_nothing_else(seed, in_batch):
    config = TrainConfig(batch_size=4, negatives=6, in_batch=in_batch)
    for batch in Batches(KNOWN, config, seed, None).epoch(0):
        for share in batch.groups:
            masked = set(zip(*share.known.tolist(), strict=True))
            for place, user in enumerate(share.users.tolist()):
                for column, item in enumerate(share.candidates.tolist()):
                    assert ((place, column) in masked) == bool(KNOWN[user, item])


def test_an_item_drawn_twice_counts_twice():
    one_item = sparse.csr_matrix(np.array([[1, 0], [1, 0]], np.float32))
    config = TrainConfig(batch_size=2, negatives=0, in_batch=True)
    (share,) = next(Batches(one_item, config, 0, None).epoch(0)).groups
    assert share.candidates.tolist() == [0]
    assert share.bias.tolist() == [pytest.approx(np.log(2))]


def test_log_q_takes_off_the_expected_count():
    config = TrainConfig(batch_size=5, negatives=0, in_batch=True, log_q=True)
    (share,) = next(Batches(KNOWN, config, 0, None).epoch(0)).groups
    popularity = np.asarray(KNOWN.sum(0)).ravel()
    # The batch is the whole epoch: every item is drawn exactly as often as expected.
    assert np.allclose(share.bias, 0, atol=1e-6)
    assert np.allclose(share.own_bias, -np.log(popularity[share.positives]))


def test_sampled_rows_point_at_the_same_nodes_and_the_pairs_are_not_in_the_blocks(phase, graph):
    config = TrainConfig(batch_size=64, share_size=32, negatives=16)
    positives = phase.matrix()
    full = next(Batches(positives, config, 3, None).epoch(0))
    sampled = next(Batches(positives, config, 3, BlockSampler(graph, [-1], 2)).epoch(0))
    last = sampled.blocks[-1]
    for one, other in zip(full.groups, sampled.groups, strict=True):
        assert torch.equal(one.users, last.nodes[USER][other.users])
        assert torch.equal(one.positives, last.nodes[ITEM][other.positives])
        assert torch.equal(one.candidates, last.nodes[ITEM][other.candidates])
    excluded = set(zip(sampled.users.tolist(), sampled.items.tolist(), strict=True))
    for block in sampled.blocks:
        adjacency = block.messages[graph.target].adjacency
        users = block.nodes[USER][adjacency.indices.long()].tolist()
        items = block.nodes[ITEM][adjacency.destinations()].tolist()
        assert not excluded & set(zip(users, items, strict=True))


def timed_world():
    """Thirty users and twenty items; every pair has a moment of its own, but for some that share
    one.
    """
    draw = np.random.default_rng(5)
    user, item = np.divmod(np.sort(draw.choice(600, 200, replace=False)), 20)
    rows = pl.DataFrame({USER_CODE: user, ITEM_CODE: item, TIME: draw.integers(0, 150, 200)})
    ids = [
        IdMap(pl.Series([str(one) for one in range(count)]), name)
        for count, name in ((30, "user"), (20, "item"))
    ]
    return fit_interactions(rows, *ids, ("interaction",))


def test_time_respecting_steps_know_only_what_came_before():
    log = timed_world()
    graph = build_graph(log, GraphConfig())
    config = TrainConfig(batch_size=40, negatives=8, time_respecting=True)
    moments = pair_moments(log, "interaction")
    pairs = log.matrix(("interaction",)).tocoo()
    moment_of = dict(
        zip(zip(pairs.row.tolist(), pairs.col.tolist(), strict=True), moments.tolist(), strict=True)
    )
    for user, item, time in zip(
        log.user.tolist(), log.item.tolist(), log.time.tolist(), strict=True
    ):
        assert moment_of[user, item] == time
    seen, edges = [], 0
    for batch in Batches(
        log.matrix(("interaction",)), config, 1, TemporalSampler(graph, [-1], 2), moments
    ).epoch(0):
        mine = list(zip(batch.users.tolist(), batch.items.tolist(), strict=True))
        first = min(moment_of[pair] for pair in mine)
        seen += mine
        for block in batch.blocks:
            adjacency = block.messages[graph.target].adjacency
            users = block.nodes[USER][adjacency.indices.long()].tolist()
            items = block.nodes[ITEM][adjacency.destinations()].tolist()
            edges += len(users)
            assert all(moment_of[pair] < first for pair in zip(users, items, strict=True))
    assert sorted(seen) == sorted(moment_of)
    assert edges > 0


def test_time_respecting_training_needs_times(phase):
    with pytest.raises(ConfigError, match="needs times"):
        pair_moments(phase, "interaction")
    with pytest.raises(ConfigError, match="time_respecting"):
        build_config({"train": {"time_respecting": True, "mode": "full"}})


def test_bpr_draws_one_rival_a_pair():
    batch = next(Batches(KNOWN, TrainConfig(loss="bpr", batch_size=4), 0, None).epoch(0))
    (share,) = batch.groups
    assert len(share.candidates) == len(share.users) == 4
    known = [
        place for place in range(4) if KNOWN[int(share.users[place]), int(share.candidates[place])]
    ]
    assert share.known.tolist() == [known, known]


def test_hidden_users_follow_the_share():
    positives = sparse.csr_matrix(np.ones((2000, 1), np.float32))
    hidden = next(Batches(positives, TrainConfig(user_dropout=0.25), 0, None).epoch(0)).hidden
    assert 0.2 < hidden.float().mean() < 0.3
    assert next(Batches(positives, TrainConfig(user_dropout=0), 0, None).epoch(0)).hidden is None
