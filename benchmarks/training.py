"""A training step, full-graph and neighbour-sampled, with attention and with γ fixed at 0: time,
and forecast memory.

python benchmarks/training.py DATA/gowalla [steps]

Steps of the four ways are interleaved, so that what else the machine does falls on all of them;
medians are kept. Peak memory is that of a process of its own, less what it held before training.
"""

import itertools
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import torch
from interactions_of import load_phase
from record import record

from recsys.core.config import GraphConfig, ModelConfig, TrainConfig
from recsys.core.interactions import Interactions
from recsys.core.machine import peak_memory_bytes
from recsys.graph.build import build_graph
from recsys.graph.schema import Graph
from recsys.train.forecast import plan_training
from recsys.train.problem import Problem, first_network
from recsys.train.stepper import Stepper

WAYS = {
    f"{mode}, {name}": (mode, on)
    for mode in ("full", "sampled")
    for name, on in (("attention", 1), ("gamma 0", 0))
}
CPU = torch.device("cpu")


def stepper_of(interactions: Interactions, graph: Graph, way: str) -> tuple[Stepper, int]:
    """A stepper, and the bytes forecast for it."""
    mode, attention = WAYS[way]
    model, config = (
        ModelConfig(family="degree_prior", attention=bool(attention), start="random"),
        TrainConfig(mode=mode),
    )
    plan = plan_training(graph, model, config, CPU)
    problem = Problem(interactions, graph, model)
    network = first_network(problem)
    if attention:
        # At γ = 0 exactly nothing would be scored in a layer that looks for it.
        for name, value in network.named_parameters():
            if name.endswith("gamma"):
                value.data.fill_(0.1)
    return Stepper(network, problem, config, plan), plan.bytes


def step_seconds(interactions: Interactions, graph: Graph, steps: int) -> dict[str, Any]:
    steppers = {way: stepper_of(interactions, graph, way)[0] for way in WAYS}
    batches = {way: stepper.batches.epoch(0) for way, stepper in steppers.items()}
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    drawing: dict[str, list[float]] = {way: [] for way in WAYS}
    for _, (way, stepper) in itertools.product(range(steps + 1), steppers.items()):
        began = time.perf_counter()
        batch = next(batches[way])
        drawn = time.perf_counter()
        stepper.step(batch, 0)
        drawing[way].append(drawn - began)
        seconds[way].append(time.perf_counter() - drawn)
    # The first step of each also builds what later ones use again.
    return {
        way: {
            "step_ms": round(1e3 * median(seconds[way][1:]), 1),
            "drawing_ms": round(1e3 * median(drawing[way][1:]), 1),
            "steps_an_epoch": steppers[way].batches.steps,
        }
        for way in WAYS
    }


def memory_of(folder: str, way: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, __file__, folder, "--memory", way], capture_output=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def measure_memory(folder: str, way: str) -> None:
    interactions, graph = _load(folder)
    before = psutil.Process().memory_info().rss
    # Linux: forget the peak of loading, so that the peak read below is that of training.
    Path("/proc/self/clear_refs").write_text("5")
    stepper, forecast = stepper_of(interactions, graph, way)
    for batch in itertools.islice(stepper.batches.epoch(0), 3):
        stepper.step(batch, 0)
    print(json.dumps({"forecast_bytes": forecast, "measured_bytes": peak_memory_bytes() - before}))


def _load(folder: str) -> tuple[Interactions, Graph]:
    interactions = load_phase(Path(folder))[0]
    return interactions, build_graph(interactions, GraphConfig())


def main() -> None:
    if "--memory" in sys.argv:
        measure_memory(sys.argv[1], sys.argv[3])
        return
    interactions, graph = _load(sys.argv[1])
    found = step_seconds(interactions, graph, int(sys.argv[2]) if len(sys.argv) > 2 else 7)
    for way in WAYS:
        found[way] |= memory_of(sys.argv[1], way)
    record("training", found, sys.argv[1].rstrip("/").rpartition("/")[2])


if __name__ == "__main__":
    main()
