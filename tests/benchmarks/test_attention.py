"""What attention does, on small worlds: read from weights and lists that were kept, and its page."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from benchmarks.accuracy import attention, attention_page
from benchmarks.accuracy.attention_entropy import entropy, entropy_by_neighbours
from benchmarks.accuracy.attention_history import (
    RelationWeights,
    by_place,
    relation_weights,
    trace,
    user_layer,
)
from benchmarks.accuracy.attention_kinds import kinds_of_items
from benchmarks.accuracy.attention_slices import AGE, age_slices, slice_facts
from benchmarks.accuracy.data import load
from benchmarks.accuracy.experiment import score
from benchmarks.accuracy.kept import keep, lists
from benchmarks.accuracy.results import summarise
from benchmarks.accuracy.rows import Row
from benchmarks.accuracy.run import Place, configured
from recsys.core.errors import DataError, UsageError
from recsys.core.ids import IdMap
from recsys.core.interactions import DAY_SECONDS
from recsys.graph.behaviors import history_blocks_of
from recsys.graph.schema import ITEM
from recsys.model.history_attention import HistoryAttention
from recsys.model.history_network import HistoryNetwork, history_blocks
from recsys.phases.phase import Phase
from recsys.train.problem import Problem, new_network

LOG = "ml-100k"
SMALL: dict[str, dict[str, Any]] = {
    "model": {"family": "history", "width": 8, "heads": 2, "user_layers": 2},
    "train": {"epochs": 2, "batch_size": 64},
    "blend": {"neighbours": 0, "low_pass_rank": 0, "recency": False, "trend": False},
}
ROW = Row("small", "Small", changes=SMALL)
TWIN_MODEL = SMALL["model"] | {"attention": False}
TWIN = Row("small-no-query", "Without a query", changes=SMALL | {"model": TWIN_MODEL})


@pytest.fixture
def paths(tmp_path: Path) -> Place:
    return small_world(tmp_path)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A world where the row and its twin were run, for those who only look."""
    paths = small_world(tmp_path_factory.mktemp("ran"))
    for row in (ROW, TWIN):
        run(row, paths)
    return paths


def small_world(path: Path) -> Place:
    """Thirty users who take items of their own parity, one a day; films have genres."""
    folder = path / LOG
    folder.mkdir()
    rows = []
    for user in range(30):
        items = [item for item in range(24) if (user + item) % 2 == 0 and (user * item) % 5]
        # Everybody starts at another item, so that none is held out from all.
        for day, item in enumerate(items[user % 7 :] + items[: user % 7]):
            rows.append((user, item, (user + day) * DAY_SECONDS))
    schema = ["user_id", "item_id", "timestamp"]
    pl.DataFrame(rows, schema=schema, orient="row").write_parquet(folder / "interactions.parquet")
    genres = [["even", "film"] if item % 2 == 0 else ["odd", "film"] for item in range(24)]
    items_table = pl.DataFrame({"item_id": list(range(24)), "genres": genres})
    items_table.write_parquet(folder / "items.parquet")
    return Place(path, path / "cache")


def run(row: Row, paths: Place, seed: int = 0) -> None:
    """What the command `run` leaves in the cache."""
    config = configured(row, LOG, seed, paths, threads=1)
    log, splits = load(config, paths.of(LOG))
    keep(paths.of(LOG), row.name, seed, score(row, config, log, splits, paths.of(LOG)))


def phase_of(paths: Place, row: Row = ROW) -> Phase:
    config = configured(row, LOG, 0, paths, threads=1)
    return Phase("final", *load(config, paths.of(LOG)), config)


def test_a_trained_row_is_measured_beside_its_twins(ran: Place) -> None:
    facts = attention.measure(ROW, [TWIN, ROW], LOG, 0, ran)
    assert (facts["family"], facts["dataset"], facts["row"]) == ("history", LOG, "small")

    relation, of_second = facts["relations"]
    assert [relation["layer"], of_second["layer"]] == [1, 2]
    train = phase_of(ran).interactions
    lengths = np.bincount(train.user)
    assert relation["gate"] is None and 0 < relation["share"] <= 1
    assert [row["at"] for row in relation["position"]] == list(range(lengths.max()))
    # Every user with two events has a latest one, from which ages are counted.
    assert relation["position"][0]["events"] == (lengths > 1).sum()
    assert relation["age"][0]["at"] == 0
    assert sum(row["events"] for row in relation["age"]) == lengths[lengths > 1].sum()
    assert sum(row["targets"] for row in relation["entropy"]) == (lengths > 1).sum()

    # Attention sums to the number of events: over all of them it is 1 on average.
    for head in range(2):
        total = sum(row["events"] * row["attention"][head] for row in relation["position"])
        assert total == pytest.approx(lengths[lengths > 1].sum(), rel=1e-3)

    values = {row["value"] for row in facts["kinds"]}
    assert {"even", "odd", "film", "top 10 % of items"} <= values
    [everything] = [row for row in facts["kinds"] if row["value"] == "film"]
    assert everything["weight"] == 1 and everything["events"] == 1
    assert AGE in {row["group"] for row in facts["slices"]["small-no-query"]}
    for row in facts["slices"]["small"]:
        assert row["difference"] == row["low"] == row["high"] == 0


def test_a_query_of_zero_leaves_the_prior(ran: Place) -> None:
    for relation in attention.measure(TWIN, [], LOG, 0, ran)["relations"]:
        assert relation["query_length"] == [0, 0]
        for row in relation["entropy"]:
            assert row["low"] == row["median"] == row["high"] == 1
        learnt = [row["attention"] for row in relation["position"]]
        assert all(first == second for first, second in learnt)


def test_slices_average_every_seed_that_was_run(ran: Place) -> None:
    cache = ran.of(LOG)
    ours = lists(cache, ROW.name, 0)
    for name, ranked in (
        ("backwards-0", ours.ranked[:, ::-1]),
        ("both-0", ours.ranked),
        ("both-1", ours.ranked[:, ::-1]),
    ):
        np.savez(cache / "kept" / f"{name}.npz", users=ours.users, ranked=ranked)
    final = phase_of(ran)
    together = slice_facts(final, cache, "both", ROW.name)
    apart = slice_facts(final, cache, ROW.name, "backwards")
    for of_both, of_one in zip(together, apart, strict=True):
        mean = (of_one["value"] + of_one["other_value"]) / 2
        assert of_both["value"] == pytest.approx(mean, abs=2e-5)
    assert any(row["difference"] != 0 for row in apart)
    with pytest.raises(DataError, match="no seed of the row 'never'"):
        slice_facts(final, cache, ROW.name, "never")


def test_weights_of_a_shared_training_are_those_of_the_row_that_trained(
    paths: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    blended = Row("blended", "Blended", changes=SMALL | {"blend": {"low_pass_rank": 0}})
    run(blended, paths)
    run(ROW, paths)
    assert not attention.kept.has_weights(paths.of(LOG), ROW.name, 0)
    with pytest.raises(DataError, match="no weights of the row 'small'") as refused:
        attention.measure(ROW, [], LOG, 0, paths)
    assert (
        refused.value.remedy is not None and str(paths.of(LOG) / "trained") in refused.value.remedy
    )

    monkeypatch.setattr(attention, "rows", lambda: {row.name: row for row in (ROW, TWIN, blended)})
    shared = attention.measure(ROW, [], LOG, 0, paths)

    # What the refusal says to do.
    monkeypatch.undo()
    for file in (paths.of(LOG) / "trained").rglob("training.json"):
        file.unlink()
    run(ROW, paths)
    assert attention.measure(ROW, [], LOG, 0, paths) == shared


def test_a_row_of_another_family_is_refused(paths: Place) -> None:
    textbook = Row("gat", "GAT", changes={"model": {"family": "gat"}})
    with pytest.raises(UsageError, match="'gat'"):
        attention.measure(textbook, [], LOG, 0, paths)


def test_a_degree_prior_row_is_measured_by_layer(paths: Place) -> None:
    changes = SMALL | {"model": {"family": "degree_prior", "width": 8, "heads": 2}}
    row = Row("prior", "Prior", changes=changes)
    run(row, paths)
    facts = attention.measure(row, [], LOG, 0, paths)
    assert facts["family"] == "degree_prior"
    assert [layer["layer"] for layer in facts["layers"]] == [1, 1, 2, 2]
    assert all(len(layer["gamma"]) == 2 for layer in facts["layers"])


@pytest.mark.parametrize("number", [0, 1])
def test_the_weights_that_are_shown_are_those_of_the_layer(ran: Place, number: int) -> None:
    final = phase_of(ran)
    network = drawn_network(final)
    users = np.arange(final.interactions.num_users)
    block = history_blocks_of(final.graph, final.interactions, final.config.model).now(users)
    [(relation, messages)] = network.with_recency(block).messages.items()
    layer = user_layer(network, number).of(relation)
    assert isinstance(layer, HistoryAttention)
    generator = torch.Generator().manual_seed(4)
    source = torch.randn(final.graph.num_nodes[ITEM], 8, generator=generator)
    target = torch.randn(len(users), 8, generator=generator)
    with torch.no_grad():
        weights = relation_weights(layer, source, target, messages)
        expected = layer(source, target, messages)
    counts = np.diff(weights.indptr)
    share = weights.attention() / np.repeat(counts, counts)[:, None]
    by_head = source.numpy().reshape(len(source), 2, 4)[weights.source]
    mixed = share[:, :, None] * by_head
    for user in users:
        own = slice(weights.indptr[user], weights.indptr[user + 1])
        assert mixed[own].sum(0).ravel() == pytest.approx(expected[user].numpy(), abs=1e-5)
    prior = _logits_without_query(layer, messages)
    assert weights.prior == pytest.approx(prior, abs=1e-4)


def drawn_network(final: Phase) -> HistoryNetwork:
    """A network with normal draws for parameters."""
    network = new_network(Problem(final.interactions, final.graph, final.config.model))
    assert isinstance(network, HistoryNetwork)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return network


def _logits_without_query(layer: HistoryAttention, messages: Any) -> list[float]:
    """The prior's logits by a loop over edges."""
    power = 1.0 if layer.weight_power is None else layer.weight_power.item()
    logits = []
    for edge, item in enumerate(messages.adjacency.indices.tolist()):
        degree = max(float(messages.source_degree[item]), 1e-9)
        value = np.log(float(messages.adjacency.weight[edge])) + messages.recency[edge].item()
        logits.append(power * value - layer.source_exponent.item() * np.log(degree))
    return logits


def test_a_trace_of_one_relation_is_as_long_as_what_the_layers_give(ran: Place) -> None:
    final = phase_of(ran)
    network = drawn_network(final).eval()
    users = np.arange(final.interactions.num_users)
    with torch.no_grad():
        traced = trace(network, final)
        states = network.node_states(history_blocks(final.graph, network.config.layers))
        block = history_blocks_of(final.graph, final.interactions, final.config.model).now(users)
        block = network.with_recency(block)
        received = network.own_states(block.nodes["user"])
        lengths = []
        for number, layer in enumerate(network.user_layers):
            received = layer.into("user", received, network.sent(states, number), block)
            scaled = network.user_weights[number] * received
            lengths.append(torch.linalg.vector_norm(scaled, dim=1).mean().item())
    assert [relation.length for relation in traced.relations] == pytest.approx(lengths, rel=1e-5)
    assert [relation.layer for relation in traced.relations] == [0, 1]


def test_entropy_of_a_few_rows_by_hand() -> None:
    # Four equal weights; one node without neighbours; weights 1 : 3.
    logits = np.array([7.0, 7.0, 7.0, 7.0, 0.0, np.log(3.0)])
    values = entropy(logits, np.array([0, 4, 4, 6]))
    expected = [np.log(4), 0.0, -(0.25 * np.log(0.25) + 0.75 * np.log(0.75))]
    assert values == pytest.approx(expected)


def test_entropy_is_set_against_the_prior_by_number_of_neighbours() -> None:
    # Targets of 1, 2 and 4 neighbours, a flat prior; attention that sees one of the four alone.
    indptr = np.array([0, 1, 3, 7])
    prior = np.zeros(7)
    logits = np.zeros((1, 7))
    logits[0, 3] = 50.0
    bins = entropy_by_neighbours(prior, logits, indptr)
    assert [(row["degree"], row["targets"]) for row in bins] == [(2, 1), (4, 1)]
    assert [row["median"] for row in bins] == [1, 0]
    assert [row["uniform"] for row in bins] == [1, 1]


def test_attention_by_position_by_hand() -> None:
    # One user with two events, weights 1 : 3 from the latest; one with a single event.
    weights = RelationWeights(
        indptr=np.array([0, 2, 3]),
        source=np.array([0, 1, 0]),
        prior=np.zeros(3),
        logits=np.array([[np.log(3.0), 0.0, 0.0]]),
        node_weight=np.ones(2),
        rank=np.array([1, 0, 0]),
        gap=None,
    )
    bias = torch.tensor([0.0, np.log(3.0), 9.0])
    latest, before = by_place(weights, weights.rank, bias)
    assert latest == {"at": 0, "events": 1, "learnt": 0.5, "attention": [0.5]}
    assert before == {"at": 1, "events": 1, "learnt": 1.5, "attention": [1.5]}
    assert by_place(weights, weights.gap, bias) == []


def test_what_items_of_a_kind_weigh_by_hand(tmp_path: Path) -> None:
    # Item 0 has three events, item 1 one; b is not in the table, and z not in the log.
    weights = RelationWeights(
        indptr=np.array([0, 4]),
        source=np.array([0, 0, 0, 1]),
        prior=np.zeros(4),
        logits=np.zeros((1, 4)),
        node_weight=np.array([1.0, 5.0]),
        rank=None,
        gap=None,
    )
    table = pl.DataFrame({"item_id": ["a", "z"], "tags": [["new", "blue"], ["red"]], "n": [1, 2]})
    table.write_parquet(tmp_path / "items.parquet")
    kinds = kinds_of_items(weights, IdMap(pl.Series(["a", "b"])), tmp_path)
    by_value = {row["value"]: (row["events"], row["weight"]) for row in kinds}
    # The mean over events is (3 · 1 + 5) / 4 = 2.
    assert by_value == {
        "bottom 50 % of items": (0.25, 2.5),
        "top 10 % of items": (0.75, 0.5),
        "blue": (0.75, 0.5),
        "new": (0.75, 0.5),
    }
    without = kinds_of_items(weights, IdMap(pl.Series(["a", "b"])), tmp_path / "elsewhere")
    assert {row["kind"] for row in without} == {"popularity"}


def test_slices_by_the_age_of_the_last_event(ran: Place) -> None:
    final = phase_of(ran)
    train, held_out = final.interactions, final.judge.held_out_matrix
    assert train.moments is not None
    slices = list(age_slices(final))
    pairs = sum(age_slice.held_out for age_slice in slices)
    assert (pairs != held_out).nnz == 0
    below = -1
    for age_slice in slices:
        bounds = [int(text) for text in age_slice.label.removesuffix(" days").split("–")]
        assert below < bounds[0] <= bounds[-1]
        below = bounds[-1]
        for user in np.flatnonzero(np.diff(age_slice.held_out.indptr)):
            last = train.moments[train.user == user].max()
            age = (train.moments.max() - last) // DAY_SECONDS
            assert bounds[0] <= age <= bounds[-1]


def test_slices_by_age_need_a_clock(paths: Place) -> None:
    file = paths.data / LOG / "interactions.parquet"
    pl.read_parquet(file).drop("timestamp").write_parquet(file)
    split = {"split": {"method": "random", "test_share": 0.2}}
    row = Row("set", "Set", changes=SMALL | {"data": {"time_col": None}} | split)
    final = phase_of(paths, row)
    assert final.interactions.moments is None and list(age_slices(final)) == []
    run(row, paths)
    for relation in attention.measure(row, [], LOG, 0, paths)["relations"]:
        assert relation["position"] == [] and relation["age"] == []


def test_slices_against_other_twins_stay_when_one_is_added(tmp_path: Path) -> None:
    path = tmp_path / "attention.json"
    entry = {"family": "history", "dataset": LOG, "row": "small", "kinds": [1]}
    attention.add(entry | {"slices": {"a": [1], "b": [2]}}, path)
    attention.add(entry | {"kinds": [2], "slices": {"b": [3]}}, path)
    attention.add(entry | {"dataset": "filmtrust", "slices": {}}, path)
    films, hundred = attention.read(path)
    assert films["dataset"] == "filmtrust"
    assert hundred["kinds"] == [2] and hundred["slices"] == {"a": [1], "b": [3]}


NAMED = {"history": Row("history", "Histories", datasets=("films", "shop", "songs"), seeds=3)}


def compared(log: str, twin: str, low: float, high: float) -> dict[str, Any]:
    difference = (low + high) / 2
    figures = {"value": 0.2, "other_value": 0.2 - difference, "difference": difference}
    names = {"dataset": log, "row": "history", "other": twin, "metric": "ndcg@10"}
    return names | figures | {"low": low, "high": high, "seeds": [3, 3]}


def test_the_page_counts_on_how_many_logs_attention_is_better() -> None:
    comparisons = [
        compared("films", "history-no-query", 0.001, 0.003),
        compared("films", "history-no-order", 0.0, 0.0),
        compared("films", "history-mean", 0.01, 0.03),
        compared("shop", "history-no-query", -0.001, 0.003),
        compared("songs", "history-no-query", -0.003, -0.001),
        compared("songs", "history-no-order", 0.001, 0.003),
        compared("songs", "history-mean", 0.001, 0.003),
        compared("elsewhere", "history-mean", 0.01, 0.03),
        compared("shop", "history-mean", 0.01, 0.03) | {"metric": "recall@20"},
    ]
    results = []
    for seed, value in enumerate([0.19, 0.2, 0.21]):
        facts = {"dataset": "films", "row": "history", "seed": seed, "selected_on": "validation"}
        results.append(facts | {"ndcg@10": value})
    page = attention_page.attention_page([], comparisons, summarise(results), NAMED)["attention.md"]
    assert "- Against (a) γ = 0, of 3 logs: 1 better, 1 within noise, 1 worse.\n" in page
    assert "- Against (b) no order, of 3 logs: 1 better, 1 the same, 1 not measured.\n" in page
    assert "- Against (c) mean, of 3 logs: 2 better, 1 not measured.\n" in page
    assert "- Better than all three: 0 of 2 logs measured with all.\n" in page
    assert (
        "| films | .2000 ± .0100 (3 seeds) | not measured | +.0020 (+.0010 to +.0030): better |"
        in page
    )
    assert "not measured on films, shop, songs." in page


def test_the_page_shows_what_was_measured(ran: Place) -> None:
    facts = attention.measure(ROW, [TWIN], LOG, 0, ran)
    facts["row"] = "history"
    facts["slices"] = {"history-no-order": facts["slices"]["small-no-query"]}
    named = {"history": Row("history", "Histories", datasets=(LOG, "films"))}
    files = attention_page.attention_page([facts], [], {}, named)
    page = files["attention.md"]
    assert "| 2 | rev_interaction |  |  | " in page and "| minus (b) no order |" in page
    assert "| popularity | " in page and f"| {AGE} | " in page
    assert page.index(f"## {LOG}") < page.index("not measured on films.")
    images = [f"images/attention-looks-{LOG}.svg", f"images/attention-slices-{LOG}.svg"]
    assert list(files)[1:] == images
    assert all(image in page and files[image].startswith("<?xml") for image in images)
    assert files == attention_page.attention_page([facts], [], {}, named)


def test_older_figures_stand_in_a_line_behind() -> None:
    layer = {"layer": 1, "relation": "user–buy–item", "gamma": [0.5, -0.25]}
    layer["entropy"] = [{"degree": 2, "median": 0.9}, {"degree": 4, "median": 0.7}]
    popular = {"label": "top 10 % of items", "difference": 0.01, "low": 0.002, "high": 0.018}
    facts = {
        "family": "degree_prior",
        "dataset": "films",
        "row": "vectors",
        "seed": 0,
        "layers": [layer],
        "slices": {"gamma0": [popular]},
    }
    apart = compared("films", "gamma0", 0.001, 0.003) | {"row": "vectors"}
    page = attention_page.attention_page([facts], [apart], {}, NAMED)["attention.md"]
    assert (
        "| films | `vectors`, `gamma0` | .2000 | .1980 | +.0020 (+.0010 to +.0030): better | 3 | "
        "−0.25 to 0.50 | 0.70 to 0.90 | +.0100 (+.0020 to +.0180) |  |" in page
    )
