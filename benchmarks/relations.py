"""Many relations: a layer over the same edges as 1, 2, 4 and 8 of them; and sampled training of 20
M edges in five.

python -m benchmarks relations layer NAME=INTERACTIONS.parquet … [--rounds 7]
python -m benchmarks relations large

layer: every pair falls into one of the relations at random, so that each has its share of every
neighbourhood: the hardest case, for what a node hears in each relation is made and weighed apart.
Layers take turns in one process, gates open and γ = 0.1; processor time of forward + backward over
all nodes, both directions, the least of the rounds. large: five relations among 1 M users, 0.4 M
items and 20,000 tags, 32 wide; a process of its own, its peak memory.
"""

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from benchmarks.attention import WIDTH, read_edges
from benchmarks.record import record, recorded
from recsys.core.config import ModelConfig, TrainConfig
from recsys.core.ids import IdMap
from recsys.core.interactions import Interactions
from recsys.core.machine import peak_memory_bytes
from recsys.graph.edges import collapse, transpose
from recsys.graph.schema import ITEM, USER, Adjacency, Block, EdgeType, Graph, full_block, reverse
from recsys.model.layer import Layer
from recsys.train.forecast import plan_training
from recsys.train.problem import Problem, first_network
from recsys.train.stepper import Stepper

COUNTS = (1, 2, 4, 8)
USERS, ITEMS, TAGS, EDGES, LARGE_WIDTH = 1_000_000, 400_000, 20_000, 20_000_000, 32
STEPS = 5
CPU = torch.device("cpu")


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    if arguments.inside:
        print(json.dumps(train_large()))
        return
    logs = dict(one.split("=", 1) for one in arguments.logs)
    figures = {name: layers(Path(file), arguments.rounds) for name, file in logs.items()}
    figures |= {"large": _apart(arguments.threads)} if arguments.what == "large" else {}
    figures = recorded("relations") | figures | {"threads": arguments.threads}
    record("relations", figures, ", ".join(name for name in figures if name != "threads"))


def layers(file: Path, rounds: int) -> dict[str, Any]:
    """Milliseconds of a layer by number of relations, and as a multiple of those of one."""
    user, item = read_edges(file)
    runs = {count: _layer(split(user, item, count)) for count in COUNTS}
    taken: dict[int, list[float]] = {count: [] for count in COUNTS}
    for _, count in itertools.product(range(rounds + 1), COUNTS):
        taken[count].append(_step(*runs[count]))
    # The first of each also makes what later ones use again.
    least = {count: min(times[1:]) for count, times in taken.items()}
    return {
        "edges": 2 * len(user),
        "milliseconds": {str(count): round(least[count], 1) for count in COUNTS},
        "times_one_relation": {str(count): round(least[count] / least[1], 3) for count in COUNTS},
    }


def split(user: np.ndarray, item: np.ndarray, count: int) -> Graph:
    """The pairs in `count` relations between users and items."""
    nodes = {USER: int(user.max()) + 1, ITEM: int(item.max()) + 1}
    place = np.random.default_rng(0).integers(0, count, len(user))
    relations: dict[EdgeType, Adjacency] = {}
    for one in range(count):
        _relate(
            relations,
            (USER, f"behavior {one}", ITEM),
            user[place == one],
            item[place == one],
            nodes,
        )
    return Graph(nodes, relations, (USER, "behavior 0", ITEM))


def _relate(
    relations: dict[EdgeType, Adjacency],
    edge_type: EdgeType,
    source: np.ndarray,
    destination: np.ndarray,
    nodes: dict[str, int],
) -> None:
    adjacency = collapse(
        destination, source, np.ones(len(source)), None, nodes[edge_type[2]], nodes[edge_type[0]]
    )
    relations[edge_type] = adjacency
    relations[reverse(edge_type)] = transpose(adjacency)


def _layer(graph: Graph) -> tuple[Layer, Block, dict[str, Tensor]]:
    layer = Layer(
        list(graph.relations),
        graph.target,
        ModelConfig(family="degree_prior", width=WIDTH),
        last=True,
    )
    _open(layer)
    draws = torch.Generator().manual_seed(0)
    states = {
        kind: torch.randn(count, WIDTH, generator=draws).requires_grad_()
        for kind, count in graph.num_nodes.items()
    }
    return layer, full_block(graph), states


def _open(module: torch.nn.Module) -> None:
    """At γ = 0 exactly, and behind closed gates, there would be less to do."""
    with torch.no_grad():
        for name, value in module.named_parameters():
            if "gamma" in name or ".gate" in name or name.startswith("gate"):
                value.fill_(0.1)


def _step(layer: Layer, block: Block, states: dict[str, Tensor]) -> float:
    """Milliseconds of processor time of one forward and backward pass."""
    for one in (*states.values(), *layer.parameters()):
        one.grad = None
    began = time.process_time()
    sum(one.square().sum() for one in layer(states, block).values()).backward()
    return (time.process_time() - began) * 1e3


def _apart(threads: int) -> dict[str, Any]:
    command = [
        sys.executable,
        "-m",
        "benchmarks",
        "relations",
        "large",
        "--inside",
        "--threads",
        str(threads),
    ]
    found: dict[str, Any] = json.loads(
        subprocess.run(command, capture_output=True, check=True, text=True).stdout
    )
    return found


def train_large() -> dict[str, Any]:
    """A few steps of sampled training; the graph is built here, so that its memory counts."""
    log, graph = large_world()
    model = ModelConfig(family="degree_prior", width=LARGE_WIDTH, start="random")
    config = TrainConfig(mode="sampled", batch_size=4096)
    plan = plan_training(graph, model, config, CPU)
    problem = Problem(log, graph, model)
    network = first_network(problem)
    _open(network)
    stepper = Stepper(network, problem, config, plan)
    seconds = []
    network.refresh_mass(graph)
    for batch in itertools.islice(stepper.batches.epoch(0), STEPS):
        began = time.perf_counter()
        stepper.step(batch, 0)
        seconds.append(time.perf_counter() - began)
    return {
        "edges": graph.num_edges // 2,
        "relations": len(graph.relations) // 2,
        "forecast_gb": round(plan.bytes / 1e9, 2),
        "peak_gb": round(peak_memory_bytes() / 1e9, 2),
        "step_seconds": round(statistics.median(seconds), 2),
    }


def large_world() -> tuple[Interactions, Graph]:
    """Buys, views, friends, also-viewed and tags, 20 M edges together, popular ends more often."""
    draw = np.random.default_rng(0)
    nodes = {USER: USERS, ITEM: ITEMS, "item:tag": TAGS}
    ends = {
        (USER, "buy", ITEM): 4,
        (USER, "view", ITEM): 8,
        (USER, "trusts", USER): 3,
        (ITEM, "also_viewed", ITEM): 3,
        (ITEM, "tag", "item:tag"): 2,
    }
    relations: dict[EdgeType, Adjacency] = {}
    for edge_type, share in ends.items():
        source, destination = (
            _ends(draw, nodes[kind], EDGES * share // 20) for kind in (edge_type[0], edge_type[2])
        )
        _relate(relations, edge_type, source, destination, nodes)
    buys = relations[USER, "buy", ITEM]
    return _log_of(buys.indices.numpy(), buys.destinations().numpy()), Graph(
        nodes, relations, (USER, "buy", ITEM)
    )


def _ends(draw: np.random.Generator, count: int, edges: int) -> np.ndarray:
    return (count * draw.random(edges) ** 1.5).astype(np.int32)


def _log_of(user: np.ndarray, item: np.ndarray) -> Interactions:
    """The pairs to learn; ids do not matter here."""
    ids = [
        IdMap(pl.arange(count, eager=True).cast(pl.String), kind)
        for count, kind in ((USERS, USER), (ITEMS, ITEM))
    ]
    codes = [np.arange(count, dtype=np.int32) for count in (USERS, ITEMS)]
    ones, none = np.ones(len(user), np.float32), np.zeros(len(user), np.int16)
    return Interactions(user, item.astype(np.int32), ones, None, none, ("buy",), *ids, *codes)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["layer", "large"])
    parser.add_argument(
        "logs", nargs="*", metavar="NAME=FILE", help="layer: a Parquet log and what to call it"
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
