"""Runs on a small world: what is judged, logged, kept, and given to a peer."""

import sys
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
import torch

from benchmarks.accuracy.attention_prior import degree_prior_logits
from benchmarks.accuracy.data import configuration, load
from benchmarks.accuracy.epoch_log import EpochLog, read
from benchmarks.accuracy.experiment import Choices, Told, score
from benchmarks.accuracy.foreign import pairs, score_peer
from benchmarks.accuracy.kept import keep, lists, seeds
from benchmarks.accuracy.rows import Row, row
from recsys.core.artefacts import read_json
from recsys.core.config import BlendConfig, RunConfig
from recsys.core.errors import MachineError, UsageError
from recsys.graph.schema import full_block
from recsys.logs.ingest import CodedLog
from recsys.logs.split import Splits
from recsys.model.network import Network
from recsys.phases.phase import Phase
from recsys.scores.blend import NO_BLEND, Blend
from recsys.scores.terms.popularity import POWERS, PopularitySettings

World = tuple[RunConfig, CodedLog, Splits]
ROW = Row(
    "small",
    "Small",
    changes={"model": {"width": 8}, "train": {"epochs": 4, "patience": 4, "batch_size": 64}},
)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Forty users who like items of their own parity, split at random."""
    rows = [
        (f"u{user}", f"i{item}")
        for user in range(40)
        for item in range(30)
        if (user + item) % 2 == 0 and user * item % 3
    ]
    folder = tmp_path / "filmtrust"
    folder.mkdir()
    pl.DataFrame(rows, schema=["user_id", "item_id"], orient="row").write_parquet(
        folder / "interactions.parquet"
    )
    config = configuration("filmtrust", tmp_path, ROW.changes_on("filmtrust")).model_copy(
        update={"threads": 1}
    )
    return config, *load(config, tmp_path / "cache")


def test_a_logged_run_gives_the_figures_of_one_that_is_not(world: World, tmp_path: Path) -> None:
    plain = score(ROW, *world, tmp_path)
    logged = score(ROW, *world, tmp_path, epoch_log=EpochLog(tmp_path / "log.jsonl"))
    assert logged.facts["epochs"] == plain.facts["epochs"]
    assert (logged.ranked == plain.ranked).all()
    # Where nothing is added to the vectors, they are also logged in every shape.
    written = [line for line in read(tmp_path / "log.jsonl") if "length" not in line]
    assert [line["epoch"] for line in written] == [1, 2, 3, 4]
    chosen = written[plain.facts["epochs"] - 1]
    assert chosen["recall@20"] == round(plain.ranking.overall["recall@20"], 5)


def test_vectors_alone_are_logged_in_every_shape(world: World, tmp_path: Path) -> None:
    config, log, splits = world
    alone = config.model_copy(
        update={"blend": BlendConfig(neighbours=0, low_pass_rank=0, recency=False)}
    )
    found = score(ROW, alone, log, splits, tmp_path, epoch_log=EpochLog(tmp_path / "log.jsonl"))
    shapes = [line for line in read(tmp_path / "log.jsonl") if "length" in line]
    assert [(line["length"], line["popularity"]) for line in shapes] == list(POWERS)
    powers = Blend.read(found.facts.get("blend", {})).of(PopularitySettings)
    wanted = (powers.length_power, powers.popularity_power)
    [chosen] = [line for line in shapes if (line["length"], line["popularity"]) == wanted]
    assert chosen["recall@20"] == round(found.ranking.overall["recall@20"], 5)


def test_a_row_without_the_item_table_lends_its_training_to_one_with_it(
    world: World, tmp_path: Path
) -> None:
    config, log, splits = world
    alone = config.model_copy(update={"blend": config.blend.model_copy(update={"neighbours": 0})})
    first, second = score(ROW, alone, log, splits, tmp_path), score(ROW, *world, tmp_path)
    assert first.network is not None and second.network is None
    assert second.facts["epochs"] == first.facts["epochs"]
    assert len(list((tmp_path / "trained").iterdir())) == 2  # one a phase
    costs = [read_json(file)["cost"] for file in (tmp_path / "trained").glob("*/training.json")]
    assert second.facts["seconds"] >= round(sum(cost["seconds"] for cost in costs), 1) > 0
    assert second.facts["peak_mb"] >= max(cost["peak_mb"] for cost in costs)
    again = score(ROW, *world, tmp_path / "elsewhere")
    assert (again.ranked == second.ranked).all()


def test_other_seeds_take_over_what_was_chosen(world: World, tmp_path: Path) -> None:
    config, log, splits = world
    chosen = Choices(2, 0.5, NO_BLEND, None)
    found = score(ROW, config.model_copy(update={"seed": 1}), log, splits, tmp_path, chosen)
    assert (found.facts["epochs"], found.facts["validation"]) == (2, 0.5)
    assert len(list((tmp_path / "trained").iterdir())) == 1


def test_what_is_kept_comes_back_by_row_and_seed(world: World, tmp_path: Path) -> None:
    scored = score(Row("pop", "Popularity", baseline="popularity"), *world, tmp_path)
    keep(tmp_path, "pop", 0, scored)
    keep(tmp_path, "pop-2", 3, scored)
    assert (seeds(tmp_path, "pop"), seeds(tmp_path, "pop-2"), seeds(tmp_path, "po")) == (
        [0],
        [3],
        [],
    )
    found = lists(tmp_path, "pop", 0)
    assert (found.ranked == scored.ranked).all() and set(found.per_user) == set(
        scored.ranking.per_user
    )


def test_the_weights_whose_entropy_is_shown_are_those_of_the_layer(world: World) -> None:
    config, log, splits = world
    graph = Phase("final", log, splits, config).graph
    network = Network(graph.num_nodes, list(graph.relations), graph.target, config.model)
    block, (source, _, target) = full_block(graph), graph.target
    layer = network.layers[0].of(graph.target)
    with torch.no_grad():
        layer.gamma.copy_(torch.linspace(-2, 2, len(layer.gamma)))
        before, after = list(network.layer_states(block))[:2]
        messages = block.messages[graph.target]
        _, logits = degree_prior_logits(layer, before[source], before[target], messages)
        adjacency, reach = (
            messages.adjacency,
            messages.target_degree.clamp_min(1e-9) ** -layer.target_exponent,
        )
        expected = torch.zeros_like(after[target])
        for node, (first, last) in enumerate(pairwise(adjacency.indptr.tolist())):
            heads = before[source][adjacency.indices[first:last].long()].reshape(
                last - first, len(layer.gamma), -1
            )
            mixed = torch.einsum("hn,nhd->hd", logits[:, first:last].softmax(1), heads).flatten()
            expected[node] = mixed * reach[node] * layer.mass(messages)[node]
    torch.testing.assert_close(after[target], expected)


def test_a_peer_is_given_every_pair_in_the_ids_of_the_log(world: World) -> None:
    config, log, splits = world
    final = Phase("final", log, splits, config)
    given = pairs(final.interactions, final.target)
    assert len(given) == final.interactions.matrix().nnz
    assert set(given["user_id"]) <= {f"u{user}" for user in range(40)}


def test_a_peer_runs_in_its_own_python_and_is_judged_on_the_test(
    world: World, tmp_path: Path
) -> None:
    pytest.importorskip("implicit")
    python = tmp_path / "peers" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    config, log, splits = world
    found = score_peer(row("peer:implicit-als"), config, log, splits, tmp_path)
    assert found.facts["factors"] == 100
    assert (
        found.ranking.overall["recall@20"] > 0.5
    )  # of 30 items a user likes half, and sees most of them in train


def test_a_peer_without_its_environment_is_told_so(world: World, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="environment of its own"):
        score_peer(row("peer:implicit-als"), *world, None)
    with pytest.raises(MachineError, match="needs"):
        score_peer(row("peer:implicit-als"), *world, tmp_path)


def test_progress_is_told_on_the_error_stream(capsys: pytest.CaptureFixture[str]) -> None:
    Told().say("epoch 1", epoch=1)
    assert capsys.readouterr() == ("", "epoch 1\n")
