"""SASRec: its network against loops, its training in a world where order decides, its tuning."""

import numpy as np
import polars as pl
import pytest
import torch
from scipy import sparse

from markov import Walks, walks
from recsys.baselines.catalogue import BASELINES, choose, skip_reason, tuning_cost
from recsys.baselines.sasrec import tuning
from recsys.baselines.sasrec.cost import MAX_EPOCHS, sasrec_cost
from recsys.baselines.sasrec.network import CausalBlock, SequenceNetwork, sampled_softmax
from recsys.baselines.sasrec.training import Training, fit_sasrec
from recsys.baselines.sasrec.tuning import epochs_to_next_check
from recsys.core.errors import DataError, UsageError
from recsys.core.ids import IdMap
from recsys.core.interactions import fit_interactions
from recsys.core.ranking import NO_ITEM, Scorer
from recsys.core.tables import BEHAVIOR, ITEM, TIME, USER
from recsys.evaluate.metrics import rank_metrics
from recsys.search.exact import rank
from small_logs import TARGET, interactions, random_interactions

SASREC = BASELINES["sasrec"]


@pytest.fixture(scope="module")
def world() -> Walks:
    return walks()


def normalised(states: np.ndarray) -> np.ndarray:
    centred = states - states.mean(axis=-1, keepdims=True)
    return centred / np.sqrt(states.var(axis=-1, keepdims=True) + 1e-5)


def test_a_block_equals_loops() -> None:
    torch.manual_seed(3)
    block = CausalBlock(width=4, dropout=0.5).double().eval()
    states = np.random.default_rng(0).normal(size=(2, 5, 4))
    weight = {name: value.detach().numpy() for name, value in block.named_parameters()}
    expected = np.empty_like(states)
    for row, sequence in enumerate(states):
        projected = normalised(sequence) @ weight["project.weight"].T + weight["project.bias"]
        query, key, value = projected[:, :4], projected[:, 4:8], projected[:, 8:]
        for place in range(5):
            shares = np.exp(key[: place + 1] @ query[place] / np.sqrt(4))
            attended = shares @ value[: place + 1] / shares.sum()
            state = sequence[place] + weight["mix.weight"] @ attended + weight["mix.bias"]
            hidden = weight["feed_in.weight"] @ normalised(state) + weight["feed_in.bias"]
            fed = weight["feed_out.weight"] @ np.maximum(hidden, 0) + weight["feed_out.bias"]
            expected[row, place] = state + fed
    np.testing.assert_allclose(block(torch.from_numpy(states)).detach(), expected, atol=1e-10)


@pytest.mark.parametrize("num_blocks", [1, 2])
def test_a_state_reads_nothing_that_comes_after_it(num_blocks: int) -> None:
    torch.manual_seed(1)
    network = SequenceNetwork(20, 6, 8, num_blocks, dropout=0.3).eval()
    positions = torch.arange(6)[None]
    first = network(torch.tensor([[1, 2, 3, 4, 5, 6]]), positions)
    second = network(torch.tensor([[1, 2, 3, 9, 0, 0]]), positions)
    np.testing.assert_allclose(first[0, :3].detach(), second[0, :3].detach(), atol=1e-6)
    assert not torch.allclose(first[0, 3], second[0, 3], atol=1e-3)


def test_the_softmax_by_hand() -> None:
    """Items score 1, 2 and 3 for the pair; its own positive among the negatives does not count."""
    states = torch.tensor([[1.0]], dtype=torch.float64)
    items = torch.tensor([[1.0], [2.0], [3.0]], dtype=torch.float64)
    loss = sampled_softmax(states, items, torch.tensor([1]), torch.tensor([0, 1, 2, 2]))
    expected = -2 + np.log(np.exp(2) + np.exp(1) + 2 * np.exp(3))
    assert loss.item() == pytest.approx(expected)


def test_the_softmax_equals_a_loop() -> None:
    draw = np.random.default_rng(4)
    states, items = draw.normal(size=(6, 3)), draw.normal(size=(9, 3))
    positives, negatives = draw.integers(0, 9, 6), draw.integers(0, 9, 5)
    losses = []
    for state, positive in zip(states, positives, strict=True):
        rivals = [state @ items[item] for item in negatives if item != positive]
        own = state @ items[positive]
        losses.append(np.log(np.exp([own, *rivals]).sum()) - own)
    tensors = [torch.from_numpy(array) for array in (states, items, positives, negatives)]
    assert sampled_softmax(*tensors).item() == pytest.approx(np.mean(losses))


def test_where_order_decides_it_beats_those_that_see_sets(world: Walks) -> None:
    learned = world.hit_rate(fit_sasrec(world.train, TARGET, 1, 0.2, epochs=6, seed=0))
    assert learned > 0.95
    for name in ("popularity", "itemknn", "slim", "ease", "gfcf"):
        model = BASELINES[name]
        scorer = model.fit(world.train, TARGET, model.grid[0])
        assert world.hit_rate(scorer) < learned - 0.3


def test_two_blocks_learn_too(world: Walks) -> None:
    assert world.hit_rate(fit_sasrec(world.train, TARGET, 2, 0.2, epochs=8, seed=0)) > 0.95


def test_the_reversed_order_is_another_world(world: Walks) -> None:
    """With times backwards the same pairs teach what came before."""
    train = world.train
    backwards = interactions(
        list(zip(train.user.tolist(), train.item.tolist(), strict=True)), (-train.time).tolist()
    )
    scorer = fit_sasrec(backwards, TARGET, 1, 0.2, epochs=6, seed=0)
    assert world.hit_rate(scorer) < 0.2


def test_the_same_seed_gives_the_same_bytes_whatever_else_draws(world: Walks) -> None:
    users = np.arange(50, dtype=np.int32)
    torch.manual_seed(5)
    first = fit_sasrec(world.train, TARGET, 1, 0.4, epochs=3, seed=7).score(users)
    drawn = torch.rand(3)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(3), drawn), "training moved the stream of the process"
    second = fit_sasrec(world.train, TARGET, 1, 0.4, epochs=3, seed=7).score(users)
    other = fit_sasrec(world.train, TARGET, 1, 0.4, epochs=3, seed=8).score(users)
    assert first.tobytes() == second.tobytes() != other.tobytes()


def test_scores_do_not_depend_on_who_is_encoded_together(world: Walks) -> None:
    """Short histories are filled up behind their items, which no state reads."""
    pairs = [(0, item) for item in range(8)] + [(1, 3)] + [(2, 5), (2, 1)]
    times = [*range(8), 1, 1, 2]
    together = Training(interactions(pairs, times), TARGET, 1, 0.2, seed=0).scorer()
    for user, items in ((1, [3]), (2, [5, 1])):
        padded = together.score(np.array([user], np.int32))
        network = Training(interactions(pairs, times), TARGET, 1, 0.2, seed=0)._network.eval()
        positions = torch.arange(50 - len(items), 50)[None]
        state = network(torch.tensor([items]), positions)[0, -1]
        alone = (state @ network.items.weight.T).detach().numpy()
        np.testing.assert_allclose(padded[0], alone, rtol=1e-4, atol=1e-5)


def test_users_without_history_get_no_list_and_count_as_missed() -> None:
    """User 1 viewed item 2 and bought nothing."""
    rows = pl.DataFrame(
        {
            USER: [0, 0, 1, 2, 2],
            ITEM: [0, 1, 2, 0, 3],
            TIME: [1, 2, 3, 4, 5],
            BEHAVIOR: ["buy", "buy", "view", "buy", "buy"],
        },
        schema_overrides={USER: pl.Int32, ITEM: pl.Int32},
    )
    ids = IdMap(pl.Series(["a", "b", "c", "d"]))
    train = fit_interactions(rows, ids, ids, ("buy", "view"))
    scorer = fit_sasrec(train, "buy", 1, 0.4, epochs=1, seed=0)
    users = np.arange(3, dtype=np.int32)
    lists = rank(scorer, users, 4, train.matrix(("buy",))).items
    assert sorted(lists[0].tolist()) == [NO_ITEM, NO_ITEM, 2, 3]
    assert lists[1].tolist() == [NO_ITEM] * 4
    held_out = sparse.csr_matrix(np.array([[0, 0, 1, 1], [1, 0, 0, 0], [0, 1, 1, 0]], np.float32))
    recall = rank_metrics(lists, users, held_out, [4]).per_user["recall@4"]
    assert recall.tolist() == [1, 0, 1]


@pytest.mark.parametrize("pairs", [[(0, 0), (1, 1)], [(0, 0), (0, 0), (1, 1)]])
def test_a_log_without_anything_to_predict_is_fitted(pairs: list[tuple[int, int]]) -> None:
    train = interactions(pairs, list(range(len(pairs))))
    scores = fit_sasrec(train, TARGET, 1, 0.4, epochs=2, seed=0).score(np.array([0, 1], np.int32))
    assert np.isfinite(scores).all()


def test_a_log_without_order_is_refused_and_left_out(world: Walks) -> None:
    unordered = random_interactions()
    with pytest.raises(DataError, match="--time-col"):
        fit_sasrec(unordered, TARGET, 1, 0.4, epochs=1, seed=0)
    assert skip_reason(SASREC, unordered, 60, 10**11) == "the log has no times"
    pairs = list(zip(unordered.user.tolist(), unordered.item.tolist(), strict=True))
    moment = interactions(pairs, [3] * len(pairs))
    reason = skip_reason(SASREC, moment, 60, 10**11)
    assert reason is not None and "one moment" in reason
    assert skip_reason(SASREC, world.train, 60, 10**11) is None


@pytest.mark.parametrize(
    ("wrong", "words", "mended"),
    [
        ({"blocks": 0}, "Use 1 or 2", {"blocks": 1}),
        ({"dropout": 1.0}, "Use 0.4", {"dropout": 0.4}),
        ({"dropout": float("nan")}, "Use 0.4", {"dropout": 0.4}),
        ({"epochs": 0}, "at least 1", {"epochs": 1}),
    ],
)
def test_settings_that_cannot_be(wrong: dict, words: str, mended: dict, world: Walks) -> None:
    usual = {"blocks": 1, "dropout": 0.2, "epochs": 1}
    with pytest.raises(UsageError, match=words):
        SASREC.fit(world.train, TARGET, usual | wrong)
    assert SASREC.fit(world.train, TARGET, usual | mended)


def test_checks_come_a_fifth_later_each_and_end_at_the_bound() -> None:
    checks, epoch = [1], 1
    while epoch < MAX_EPOCHS:
        epoch += epochs_to_next_check(epoch)
        checks.append(epoch)
    assert checks[:9] == [1, 2, 3, 4, 5, 7, 9, 11, 14]
    assert checks[-1] == MAX_EPOCHS and len(checks) <= 20


def test_a_training_ends_after_three_checks_without_gain(world: Walks) -> None:
    values = iter([0.1, 0.3, 0.2, 0.25, 0.3, 0.0])
    choice = tuning.choose_sasrec(
        world.train, TARGET, SASREC.grid[:1], lambda scorer: next(values), seed=0
    )
    assert choice.params == {**SASREC.grid[0], "epochs": 2}
    assert choice.value == 0.3
    assert list(values) == [0.0]


def test_a_training_ends_at_the_bound(world: Walks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "MAX_EPOCHS", 6)
    epochs = iter(range(100))
    choice = tuning.choose_sasrec(
        world.train, TARGET, SASREC.grid[:1], lambda scorer: float(next(epochs)), seed=0
    )
    assert choice.params["epochs"] == 6


def test_the_chosen_scorer_is_what_its_settings_give_again(
    world: Walks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "MAX_EPOCHS", 4)
    held_out = world.train.num_users // 2

    def value(scorer: Scorer) -> float:
        users = np.arange(held_out, dtype=np.int32)
        scores = scorer.score(users)
        ahead = scores[users, world.following[users]][:, None]
        return float((scores <= ahead).mean())

    choice = choose(SASREC, world.train, TARGET, value, seed=2)
    assert [params["blocks"] for params, _ in choice.tried] == [1, 1, 2, 2]
    assert choice.value == max(value for _, value in choice.tried)
    users = np.arange(world.train.num_users, dtype=np.int32)
    again = SASREC.fit(world.train, TARGET, choice.params, seed=2)
    np.testing.assert_array_equal(again.score(users), choice.scorer.score(users))


def test_its_cost_is_told_for_all_trainings_at_their_bound(world: Walks) -> None:
    train = world.train
    one = sasrec_cost(train.num_users, train.num_items, len(train))
    assert tuning_cost(SASREC, train).seconds == pytest.approx(4 * one.seconds)
    reason = skip_reason(SASREC, train, one.seconds / 60, 10**11)
    assert reason is not None and "evaluate.baseline_minutes" in reason
    assert skip_reason(SASREC, train, 6 * one.seconds / 60, 10**11) is None


def test_costs_are_linear_and_bounded() -> None:
    """Of the Beauty log (22,363 users, 12,101 items): a quarter of an hour for a training at most."""
    beauty = sasrec_cost(22_363, 12_101, 153_776)
    assert 300 < beauty.seconds < 900 and beauty.bytes < 2e9
    larger = sasrec_cost(223_630, 12_101, 1_537_760)
    assert larger.seconds < 12 * beauty.seconds
