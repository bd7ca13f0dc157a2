import numpy as np
import pytest
import torch
from scipy import sparse

from recsys.core.config import ModelConfig, TrainConfig
from recsys.train.batches import Batches
from recsys.train.loop import train
from recsys.train.neighbours import NeighbourPositives
from recsys.train.problem import Problem

# Items 0 and 1 share users 0 and 1, items 2 and 3 user 2; item 4 shares nobody.
KNOWN = sparse.csr_matrix(
    np.array(
        [[1, 1, 0, 0, 0], [1, 1, 0, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 0, 1], [0, 1, 0, 0, 0]],
        np.float32,
    )
)


def config(**changes) -> TrainConfig:
    return TrainConfig(
        **({"neighbour_positives": 1, "neighbour_share": 1.0, "batch_size": 100} | changes)
    )


def test_by_hand():
    users, items = np.array([0, 4, 2, 3]), np.array([0, 1, 3, 4])
    further = NeighbourPositives(KNOWN, config()).draw(users, items, np.random.default_rng(0))
    assert [one.tolist() for one in further] == [[0, 4, 2], [1, 0, 2]]


def test_share_and_choice_among_the_similar():
    known = sparse.csr_matrix(np.ones((3, 4), np.float32))
    drawn = NeighbourPositives(known, config(neighbour_positives=3, neighbour_share=0.25))
    zeros = np.zeros(8000, np.int64)
    _, items = drawn.draw(zeros, zeros, np.random.default_rng(1))
    counts = np.bincount(items, minlength=4)
    assert counts[0] == 0 and counts.sum() == pytest.approx(2000, rel=0.1)
    assert counts[1:] == pytest.approx([667] * 3, rel=0.15)


def test_batches_hold_the_known_pairs_and_the_further_ones():
    plain = next(Batches(KNOWN, config(neighbour_positives=0), 0, None).epoch(0))
    (batch,) = Batches(KNOWN, config(), 0, None).epoch(0)
    assert plain.pairs == 8 and batch.pairs == 8 + 7
    (share,) = batch.groups
    masked = set(zip(*share.known.tolist(), strict=True))
    for place, (user, item) in enumerate(
        zip(share.users.tolist(), share.positives.tolist(), strict=True)
    ):
        for column, other in enumerate(share.candidates.tolist()):
            assert ((place, column) in masked) == (bool(KNOWN[user, other]) or other == item)


@pytest.mark.parametrize("share_size", [1, 2, 3, 5, 100])
@pytest.mark.parametrize("loss", ["softmax", "bpr"])
def test_every_further_pair_competes_whatever_the_size_of_a_group(share_size, loss):
    settings = config(share_size=share_size, loss=loss, batch_size=4)
    for batch in Batches(KNOWN, settings, 0, None).epoch(0):
        users = torch.cat([group.users for group in batch.groups])
        items = torch.cat([group.positives for group in batch.groups])
        assert len(users) == batch.pairs
        assert users.tolist() == batch.users.tolist()
        assert items.tolist() == batch.items.tolist()
        assert max(len(group.users) for group in batch.groups) <= share_size


@pytest.mark.parametrize("mode", ["full", "sampled"])
def test_training_with_neighbours_is_repeatable(mode, phase, graph):
    model = ModelConfig(family="degree_prior", width=8, heads=2)
    plain, *others = (
        train(
            Problem(phase, graph, model),
            config(mode=mode, neighbour_positives=k, negatives=16, epochs=2),
            threads=1,
        )
        for k in (0, 3, 3)
    )
    assert (others[0].embeddings.users == others[1].embeddings.users).all()
    assert not np.allclose(plain.embeddings.users, others[0].embeddings.users)
    assert all(np.isfinite(record.loss) for record in others[0].history)
