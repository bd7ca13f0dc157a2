import numpy as np
import pytest
from scipy import sparse

from recsys.core.config import TrainConfig
from recsys.train.batches import Batches
from recsys.train.negatives import Negatives

DEGREES = np.array([1, 4, 16, 0])


def negatives(kind: str, power: float = 0.5) -> Negatives:
    return Negatives(DEGREES, TrainConfig(negative_sampling=kind, negative_power=power))


def test_expected_counts_by_hand():
    # Roots 1, 2, 4 of 7; an item nobody took is drawn by the uniform ones alone.
    assert negatives("uniform").expected(8) == pytest.approx([2, 2, 2, 2])
    assert negatives("popularity").expected(7) == pytest.approx([1, 2, 4, 0])
    assert negatives("mixed").expected(15) == pytest.approx([3, 4, 6, 2])
    assert negatives("popularity", power=0).expected(3) == pytest.approx([1, 1, 1, 0])


@pytest.mark.parametrize("kind", ["uniform", "popularity", "mixed"])
@pytest.mark.parametrize("power", [0.5, 1.0])
def test_draws_come_as_often_as_expected(kind, power):
    drawn = negatives(kind, power).draw(40_001, np.random.default_rng(0))
    assert len(drawn) == 40_001
    counts, expected = np.bincount(drawn, minlength=4), negatives(kind, power).expected(40_001)
    assert np.abs(counts - expected).max() < 4 * np.sqrt(expected.max())


def test_uniform_draws_are_those_of_the_generator():
    plain = np.random.default_rng(1).integers(0, 4, 100)
    assert (negatives("uniform").draw(100, np.random.default_rng(1)) == plain).all()


@pytest.mark.parametrize("loss", ["softmax", "bpr"])
def test_steps_use_the_configured_draws(loss):
    # Item 0 has nearly all the pairs.
    known = sparse.csr_matrix(np.vstack([np.eye(1, 50)] * 200 + [np.ones((1, 50))]))
    config = TrainConfig(
        loss=loss, negative_sampling="popularity", negative_power=2, negatives=64, batch_size=32
    )
    for batch in Batches(known, config, 0, None).epoch(0):
        assert all((share.candidates == 0).any() for share in batch.groups)
        assert len(batch.groups[0].candidates) <= (32 if loss == "bpr" else 5)


def test_log_q_of_popularity_draws_is_their_expected_count():
    known = sparse.csr_matrix(np.array([[1, 1, 0], [0, 1, 0], [0, 1, 1]], np.float32))
    config = TrainConfig(
        batch_size=5, negatives=10, negative_sampling="popularity", negative_power=1, log_q=True
    )
    (share,) = next(Batches(known, config, 0, None).epoch(0)).groups
    expected = np.log(10 * np.array([1, 3, 1]) / 5)
    assert np.allclose(share.own_bias, -expected[share.positives])
