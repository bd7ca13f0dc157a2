import pytest
import torch

from recsys.core.config import ModelConfig, TrainConfig
from recsys.core.errors import MachineError
from recsys.graph.schema import Adjacency, Graph, reverse
from recsys.train.forecast import (
    full_plan,
    history_plan,
    plan_training,
    refuse_too_slow,
    sampled_plan,
)

CPU = torch.device("cpu")
MODEL = ModelConfig(family="degree_prior")
HISTORY = ModelConfig(family="history")
TARGET = ("user", "buy", "item")


def graph_of(users: int, items: int, edges: int) -> Graph:
    """A graph of that size on paper: the forecast reads counts alone."""

    def adjacency(rows: int, columns: int) -> Adjacency:
        empty = torch.empty(0).expand(0)
        return Adjacency(
            torch.zeros(1).expand(rows + 1),
            torch.zeros(1, dtype=torch.int32).expand(edges),
            empty,
            columns,
        )

    relations = {TARGET: adjacency(items, users), reverse(TARGET): adjacency(users, items)}
    return Graph({"user": users, "item": items}, relations, TARGET)


def test_small_graphs_train_whole_large_ones_by_sampling():
    model, config = MODEL, TrainConfig(batch_size=1024, fanouts=[10, 5])
    assert plan_training(graph_of(1000, 500, 20_000), model, config, CPU).mode == "full"
    assert (
        plan_training(graph_of(200_000, 100_000, 50_000_000), model, config, CPU).mode == "sampled"
    )


def test_mode_is_as_told():
    for mode in ("full", "sampled"):
        plan = plan_training(graph_of(1000, 500, 20_000), MODEL, TrainConfig(mode=mode), CPU)
        assert plan.mode == mode


def test_what_does_not_fit_is_refused_with_numbers_and_a_remedy():
    huge = graph_of(2_000_000_000, 1_000_000, 10_000_000_000)
    with pytest.raises(
        MachineError,
        match=r"sampled training is forecast to take [\d.]+ GB, and .* GB is free on cpu",
    ):
        plan_training(huge, MODEL, TrainConfig(), CPU)
    tight = TrainConfig(mode="full", max_memory_gb=0.1)
    with pytest.raises(
        MachineError, match=r"0\.10 GB is train\.max_memory_gb.*train\.mode = sampled"
    ):
        plan_training(graph_of(200_000, 100_000, 5_000_000), MODEL, tight, CPU)


def test_tables_are_counted():
    graph = graph_of(1000, 1000, 10)
    narrow, wide = (
        full_plan(graph, ModelConfig(family="degree_prior", width=width), TrainConfig()).bytes
        for width in (64, 128)
    )
    assert wide - narrow >= 2000 * 64 * 4 * 7


@pytest.mark.parametrize("mode", ["full", "sampled", "histories"])
def test_more_relations_than_memory_are_refused(mode):
    one = graph_of(100_000, 50_000, 400_000)
    edges = one.relations[TARGET]
    names = {("user", f"kind {place}", "item"): edges for place in range(40)}
    many = Graph(one.num_nodes, one.relations | names, TARGET)
    config, model = TrainConfig(max_memory_gb=4), HISTORY
    if mode != "histories":
        config, model = TrainConfig(mode=mode, max_memory_gb=4), MODEL
    assert plan_training(one, model, config, CPU).bytes < 4e9
    with pytest.raises(
        MachineError, match=f"{mode} training is forecast to take .* 4.00 GB is train.max_memory_gb"
    ):
        plan_training(many, model, config, CPU)


@pytest.mark.parametrize(
    "smaller", [{"history": 10}, {"layers": 1}, {"width": 16, "heads": 2}], ids=str
)
def test_what_a_refusal_of_histories_advises_makes_them_fit(smaller):
    graph = graph_of(300_000, 50_000, 12_000_000)
    enough = history_plan(graph, HISTORY.model_copy(update=smaller), TrainConfig()).bytes
    config = TrainConfig(max_memory_gb=enough / 1e9)
    with pytest.raises(MachineError) as refused:
        plan_training(graph, HISTORY, config, CPU)
    for name in smaller:
        if name != "heads":
            assert f"model.{name}" in refused.value.remedy
    assert plan_training(graph, HISTORY.model_copy(update=smaller), config, CPU)


def test_a_slow_epoch_of_histories_names_what_makes_it_shorter():
    graph, config = graph_of(1000, 500, 20_000), TrainConfig(max_minutes=1)
    plan = history_plan(graph, HISTORY, config).timed(60)
    with pytest.raises(MachineError, match=r"model\.history"):
        refuse_too_slow(plan, config)
    shorter = history_plan(graph, HISTORY.model_copy(update={"history": 5}), config)
    assert shorter.edges_a_step < plan.edges_a_step


def test_a_relation_counts_what_a_layer_keeps_of_it():
    one = graph_of(1000, 500, 10)
    more = Graph(
        one.num_nodes, one.relations | {("user", "view", "item"): one.relations[TARGET]}, TARGET
    )
    config, model = TrainConfig(), ModelConfig(family="degree_prior", attention=False, layers=2)
    difference = full_plan(more, model, config).bytes - full_plan(one, model, config).bytes
    assert difference == 2 * (2 * 1000 + 4 * 500) * 64 * 4 + 10 * 64


def test_sampled_edges_by_hand():
    # Every node has 10 neighbours; 2 × 10 pairs and 10 negatives make 30 seeds of 200 nodes: 30 · 5
    # = 150 edges, then all 180 known nodes draw 2 each: 360.
    config = TrainConfig(batch_size=10, negatives=10, fanouts=[5, 2])
    plan = sampled_plan(
        graph_of(100, 100, 1000), ModelConfig(family="degree_prior", layers=2), config
    )
    assert plan.edges_a_step == 150 + 360 and plan.steps == 100


def test_an_epoch_far_over_the_time_limit_is_refused():
    plan = full_plan(graph_of(10, 10, 100), MODEL, TrainConfig(batch_size=10)).timed(60)
    assert plan.seconds == 600
    refuse_too_slow(plan, TrainConfig(max_minutes=6))
    with pytest.raises(
        MachineError,
        match=r"an epoch is forecast to take 10\.0 minutes, and train\.max_minutes is 2\.0",
    ):
        refuse_too_slow(plan, TrainConfig(max_minutes=2))


@pytest.mark.slow
@pytest.mark.parametrize("family", ["degree_prior", "history"])
def test_forecast_is_near_the_measured_peak(family):
    """Within a factor of three of what a training of 60,000 nodes and 2 million edges really takes."""
    import subprocess
    import sys

    script = """
import sys, numpy as np, polars as pl
from recsys.core.config import GraphConfig, ModelConfig, TrainConfig
from recsys.core.ids import IdMap
from recsys.core.interactions import fit_interactions
from recsys.core.machine import peak_memory_bytes
from recsys.graph.build import build_graph
from recsys.train.loop import train
from recsys.train.problem import Problem
draw = np.random.default_rng(0)
rows = pl.DataFrame({"user": draw.integers(0, 40_000, 1_000_000, dtype=np.int32),
                     "item": draw.integers(0, 20_000, 1_000_000, dtype=np.int32)}).unique(maintain_order=True)
ids = [IdMap(pl.Series([str(n) for n in range(count)])) for count in (40_000, 20_000)]
phase = fit_interactions(rows, *ids, ("interaction",))
graph = build_graph(phase, GraphConfig())
before = peak_memory_bytes()
config = TrainConfig(batch_size=262_144, negatives=512, mode="full")
model = ModelConfig(family=sys.argv[1], start="random")
trained = train(Problem(phase, graph, model), config, epochs=1)
print(trained.plan.bytes, peak_memory_bytes() - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, family], capture_output=True, text=True, check=True
    )
    forecast, measured = map(int, done.stdout.split())
    assert forecast / 3 < measured < forecast * 3
