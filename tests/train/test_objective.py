import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import sparse

from recsys.core.config import TrainConfig
from recsys.graph.schema import ITEM, USER
from recsys.train.batches import Batch, Batches
from recsys.train.candidates import CandidateGroup
from recsys.train.losses import SharedSoftmax
from recsys.train.objective import loss_and_gradient


def share_of(pairs: int, candidates: int, known: list[list[int]] | None = None) -> CandidateGroup:
    return CandidateGroup(
        users=torch.arange(pairs),
        positives=torch.arange(pairs),
        candidates=torch.arange(candidates),
        bias=torch.zeros(candidates),
        own_bias=torch.zeros(pairs),
        known=torch.tensor(known or [[], []], dtype=torch.int64),
    )


def soft(temperature: float, positive_temperature: float | None = None, **changes) -> TrainConfig:
    ratio = (positive_temperature or temperature) / temperature
    settings = {"top_k": 0} | changes
    return TrainConfig(temperature=temperature, positive_ratio=ratio, **settings)


def test_by_hand():
    # s⁺ = 1/½ = 2; candidates 0 (drawn twice) and 2 count, the third is a known positive.
    share = share_of(1, 3, [[0], [2]])
    share.bias[0] = math.log(2)
    candidates = torch.tensor([[0.0], [1.0], [5.0]])
    loss = SharedSoftmax.apply(
        torch.tensor([[1.0]]), torch.tensor([[1.0]]), candidates, share, soft(0.5)
    )
    expected = -math.log(math.exp(2) / (math.exp(2) + 2 * math.exp(0) + math.exp(2)))
    assert loss.item() == pytest.approx(expected, rel=1e-6)


def two_temperatures(
    user,
    positive,
    candidates,
    share: CandidateGroup,
    temperature: float,
    positive_temperature: float,
):
    """−s⁺/τ⁺ + log(e^{s⁺/τ} + Σ_j e^{s_j/τ + bias_j}), left to autograd."""
    scores = (user @ candidates.T / temperature + share.bias).index_put(
        tuple(share.known), torch.tensor(-torch.inf)
    )
    agreement = (user * positive).sum(1)
    terms = torch.cat([(agreement / temperature + share.own_bias)[:, None], scores], 1)
    return (terms.logsumexp(1) - agreement / positive_temperature - share.own_bias).mean()


def test_two_temperatures_by_hand():
    # s⁺ = 1 is 2 at temperature ½ and 4 at ¼; the one candidate scores 0.
    one, other = torch.tensor([[1.0]]), torch.tensor([[0.0]])
    loss = SharedSoftmax.apply(one, one, other, share_of(1, 1), soft(0.5, 0.25))
    assert loss.item() == pytest.approx(math.log(math.exp(2) + 1) - 4, rel=1e-6)


@pytest.mark.parametrize("positive_temperature", [0.2, 0.3, 0.4])
def test_value_and_gradient_are_those_of_autograd(positive_temperature):
    generator = torch.Generator().manual_seed(4)
    leaves = [torch.randn(count, 8, generator=generator).requires_grad_() for count in (6, 6, 10)]
    share = share_of(6, 10, [[0, 3, 5], [1, 2, 9]])
    share.bias.normal_(generator=generator)
    share.own_bias.normal_(generator=generator)
    loss = SharedSoftmax.apply(*leaves, share, soft(0.3, positive_temperature))
    plain = two_temperatures(*leaves, share, 0.3, positive_temperature)
    assert loss.item() == pytest.approx(plain.item(), rel=1e-5)
    for left, right in zip(
        torch.autograd.grad(2 * loss, leaves), torch.autograd.grad(2 * plain, leaves), strict=True
    ):
        assert torch.allclose(left, right, atol=1e-6)


def naive_softmax(
    users, items, pairs, candidates: list[int], known, config: TrainConfig, expected
) -> float:
    """One pair and one drawn candidate at a time. expected: of an item, how often a share holds it;
    None without log-Q.
    """
    total = 0.0
    for user, item in pairs:
        term = {
            other: math.exp(users[user] @ items[other] / config.temperature)
            / (expected(other) if expected else 1)
            for other in {item, *candidates}
        }
        total -= math.log(
            term[item] / (term[item] + sum(term[j] for j in candidates if (user, j) not in known))
        )
    return total / len(pairs)


@pytest.mark.parametrize("in_batch", [True, False])
@pytest.mark.parametrize("log_q", [True, False])
def test_a_drawn_batch_equals_the_loops(in_batch, log_q):
    draw = np.random.default_rng(3)
    matrix = sparse.csr_matrix(draw.random((5, 9)) < 0.4)
    known = set(zip(*(places.tolist() for places in matrix.nonzero()), strict=True))
    config = TrainConfig(
        temperature=0.7, negatives=6, in_batch=in_batch, log_q=log_q, batch_size=100
    )
    batch = next(Batches(matrix, config, 0, None).epoch(0))
    (share,) = batch.groups
    vectors = {
        USER: torch.from_numpy(draw.normal(size=(5, 4))),
        ITEM: torch.from_numpy(draw.normal(size=(9, 4))),
    }
    pairs = list(zip(share.users.tolist(), share.positives.tolist(), strict=True))
    degree = np.asarray(matrix.sum(0)).ravel()

    def expected(item: int) -> float:
        return (degree[item] if in_batch else 0) + 6 / 9

    counts = (
        share.bias.exp()
        * (torch.tensor([expected(j) for j in share.candidates.tolist()]) if log_q else 1)
    ).round()
    candidates = share.candidates.repeat_interleave(counts.long()).tolist()
    assert len(candidates) == 6 + (len(pairs) if in_batch else 0)
    users, items = vectors[USER].numpy(), vectors[ITEM].numpy()
    naive = naive_softmax(
        users, items, pairs, candidates, known, config, expected if log_q else None
    )
    found, _ = loss_and_gradient(
        {kind: one.float() for kind, one in vectors.items()}, batch, config
    )
    assert found == pytest.approx(naive, rel=1e-5)


def test_hard_negatives_by_hand():
    # Scores 2, 1 and −1 at temperature ½ are 4, 2 and −2; the first is known, so the hardest other
    # is the second.
    one, candidates = torch.tensor([[1.0]]), torch.tensor([[2.0], [1.0], [-1.0]])
    loss = SharedSoftmax.apply(
        one, one, candidates, share_of(1, 3, [[0], [0]]), soft(0.5, hard_negatives=1)
    )
    assert loss.item() == pytest.approx(math.log(2), rel=1e-6)


@pytest.mark.parametrize("hard", [1, 4, 9, 10, 50])
def test_hard_negatives_are_the_loss_over_each_pairs_best_candidates(hard):
    generator = torch.Generator().manual_seed(6)
    leaves = [torch.randn(count, 8, generator=generator).requires_grad_() for count in (6, 6, 10)]
    share = share_of(6, 10, [[0, 3, 5], [1, 2, 9]])
    loss = SharedSoftmax.apply(*leaves, share, soft(0.3, hard_negatives=hard))
    scores = (
        (leaves[0] @ leaves[2].T).detach().index_put(tuple(share.known), torch.tensor(-torch.inf))
    )
    easy = [
        (row, column)
        for row in range(6)
        for column in scores[row].argsort(descending=True)[hard:].tolist()
    ]
    left_out = share_of(
        6, 10, [[0, 3, 5, *(row for row, _ in easy)], [1, 2, 9, *(column for _, column in easy)]]
    )
    plain = two_temperatures(*leaves, left_out, 0.3, 0.3)
    assert loss.item() == pytest.approx(plain.item(), rel=1e-5)
    for left, right in zip(
        torch.autograd.grad(loss, leaves), torch.autograd.grad(plain, leaves), strict=True
    ):
        assert torch.allclose(left, right, atol=1e-6)


def test_large_scores_do_not_overflow():
    user = torch.full((2, 1), 1000.0)
    loss = SharedSoftmax.apply(
        user, torch.tensor([[1.0], [-1.0]]), torch.tensor([[1.0]]), share_of(2, 1), soft(1.0)
    )
    assert loss.item() == pytest.approx((math.log(2) + 2000) / 2, rel=1e-6)


def test_no_candidate_left_costs_nothing():
    loss = SharedSoftmax.apply(
        torch.ones(1, 2), torch.ones(1, 2), torch.ones(1, 2), share_of(1, 1, [[0], [0]]), soft(1.0)
    )
    assert loss.item() == 0.0


@pytest.mark.parametrize("loss", ["softmax", "bpr"])
def test_shares_add_up_to_the_whole_batch(loss):
    config = TrainConfig(loss=loss, temperature=0.5)
    generator = torch.Generator().manual_seed(1)
    vectors = {kind: torch.randn(6, 4, generator=generator) for kind in (USER, ITEM)}
    candidates = torch.randperm(6, generator=generator)

    def share(places: list[int]) -> CandidateGroup:
        rows = torch.tensor(places)
        # bpr: one rival a pair; softmax: the same candidates for everybody.
        rivals = candidates[rows] if loss == "bpr" else candidates
        nothing = torch.empty(2, 0, dtype=torch.int64)
        return CandidateGroup(
            rows, rows, rivals, torch.zeros(len(rivals)), torch.zeros(len(rows)), nothing
        )

    def batch(groups: list[CandidateGroup]) -> Batch:
        return Batch(tuple(groups), 6, None, None, torch.arange(6), torch.arange(6), 0)

    whole, slopes = loss_and_gradient(vectors, batch([share([0, 1, 2, 3, 4, 5])]), config)
    parts, added = loss_and_gradient(vectors, batch([share([0, 1]), share([2, 3, 4, 5])]), config)
    assert parts == pytest.approx(whole, rel=1e-6)
    for kind in (USER, ITEM):
        assert torch.allclose(slopes[kind], added[kind], atol=1e-6)


def test_bf16_is_near_float32():
    generator = torch.Generator().manual_seed(2)
    vectors = {
        kind: torch.nn.functional.normalize(torch.randn(50, 16, generator=generator))
        for kind in (USER, ITEM)
    }
    batch = Batch((share_of(40, 50),), 40, None, None, torch.arange(40), torch.arange(40), 0)
    config = TrainConfig(temperature=0.2, top_k=0)
    exact, slopes = loss_and_gradient(vectors, batch, config)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough, rough_slopes = loss_and_gradient(vectors, batch, config)
    assert rough == pytest.approx(exact, rel=0.01)
    for kind in (USER, ITEM):
        assert rough_slopes[kind].dtype == torch.float32
        assert torch.allclose(
            rough_slopes[kind], slopes[kind], atol=0.02 * float(slopes[kind].abs().max())
        )


def test_pairs_above_the_end_of_the_list_count_more():
    """SL@K: σ((s⁺ − β)/τ_β) with β the K-th best candidate, in temperatures."""
    user = torch.tensor([[1.0], [1.0]])
    positive = torch.tensor([[1.0], [0.2]])
    candidates = torch.tensor([[0.6], [0.5], [0.4]])
    config = soft(0.5, top_k=2, top_k_temperature=2.0)
    loss = SharedSoftmax.apply(user, positive, candidates, share_of(2, 3), config)
    # β = 0.5 / ½ = 1; s⁺/τ = 2 and 0.4.
    others = math.exp(1.2) + math.exp(1.0) + math.exp(0.8)
    losses = [math.log(math.exp(own) + others) - own for own in (2.0, 0.4)]
    weights = [1 / (1 + math.exp(-(own - 1.0) / 2.0)) for own in (2.0, 0.4)]
    expected = (weights[0] * losses[0] + weights[1] * losses[1]) / 2
    assert loss.item() == pytest.approx(expected, rel=1e-6)


def test_a_sample_of_the_items_stands_for_all_of_them():
    """Of a third of the items, the sixth best of all is about the second best."""
    user, positive = torch.tensor([[1.0]]), torch.tensor([[1.0]])
    candidates = torch.tensor([[0.6], [0.5], [0.4]])
    third = replace(share_of(1, 3), sampled_share=1 / 3)
    loss = SharedSoftmax.apply(user, positive, candidates, third, soft(0.5, top_k=6))
    whole = SharedSoftmax.apply(user, positive, candidates, share_of(1, 3), soft(0.5, top_k=2))
    assert loss.item() == pytest.approx(whole.item(), rel=1e-6)


def test_the_gradient_of_weighted_pairs_takes_the_weights_as_given():
    generator = torch.Generator().manual_seed(4)
    leaves = [torch.randn(count, 8, generator=generator).requires_grad_() for count in (6, 6, 10)]
    user, positive, candidates = leaves
    share = share_of(6, 10, [[0, 3, 5], [1, 2, 9]])
    loss = SharedSoftmax.apply(*leaves, share, soft(0.3, top_k=3))

    scores = (user @ candidates.T / 0.3).index_put(tuple(share.known), torch.tensor(-torch.inf))
    own = (user * positive).sum(1) / 0.3
    border = scores.detach().sort(1, descending=True).values[:, 2]
    weight = torch.sigmoid(own.detach() - border)
    plain = (weight * (torch.cat([own[:, None], scores], 1).logsumexp(1) - own)).mean()
    assert loss.item() == pytest.approx(plain.item(), rel=1e-5)
    for left, right in zip(
        torch.autograd.grad(loss, leaves), torch.autograd.grad(plain, leaves), strict=True
    ):
        assert torch.allclose(left, right, atol=1e-6)
