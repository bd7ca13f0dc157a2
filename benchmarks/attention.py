"""Attention layers, forward + backward, on one direction of a log: ours against DGL's and PyG's.

Every layer gets the same edges, the same states 64 wide, the same gradient and 4 heads × 16. Layers
take turns in one process; times are medians. Memory is what a process of its own grows by at its
peak during its first step, graph and inputs not counted. A peer that is not installed is named and
left out; PYTHONPATH may point to an installed one.
"""

import argparse
import importlib.util
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import Tensor

from benchmarks.record import record
from recsys.core.machine import cores
from recsys.core.tables import ITEM_ID, USER_ID
from recsys.graph.dgl_graph import dgl
from recsys.graph.schema import Adjacency, Messages, source_degrees, target_degrees
from recsys.model.attention import DegreePriorAttention
from recsys.model.history_attention import HistoryAttention
from recsys.model.textbook import GATLayer, GATv2Layer

HEADS, HEAD_WIDTH = 4, 16
WIDTH = HEADS * HEAD_WIDTH

Pair = tuple[Tensor, Tensor]
"""States of the sources (items) and of the targets (users)."""
Call = Callable[[Pair], Tensor]


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    user, item = read_edges(arguments.train)
    if arguments.memory_of:
        print(growth_bytes(user, item, arguments.memory_of))
        return
    names = [name for name, (package, _, _) in LAYERS.items() if _installed(name, package)]
    figures = time_layers(user, item, names, arguments.rounds)
    for name in names:
        figures[name]["peak_growth_mb"] = round(_memory(arguments, name) / 1e6, 1)
    ratios = {name: _ratios(figures, name) for name in names if name not in OURS}
    facts = {"edges": len(user), "threads": arguments.threads, "rounds": arguments.rounds}
    record("attention", facts | {"layers": figures, "ratios": ratios}, arguments.train.parent.name)


def read_edges(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """(users, items) of every pair, sorted, as dense ids."""
    table = pl.read_parquet(path, columns=[USER_ID, ITEM_ID]).unique()
    user = np.unique(table[USER_ID].to_numpy(), return_inverse=True)[1]
    item = np.unique(table[ITEM_ID].to_numpy(), return_inverse=True)[1]
    order = np.lexsort((item, user))
    return user[order], item[order]


def ours(user: np.ndarray, item: np.ndarray, layer: str) -> Call:
    indptr = torch.from_numpy(np.append(0, np.cumsum(np.bincount(user))).astype(np.int32))
    indices = torch.from_numpy(item.astype(np.int32))
    adjacency = Adjacency(indptr, indices, torch.ones(len(item)), int(item.max()) + 1)
    messages = Messages(adjacency, source_degrees(adjacency), target_degrees(adjacency))
    module: torch.nn.Module
    if layer == "gat":
        module = GATLayer(WIDTH, HEADS, HEAD_WIDTH)
    elif layer == "gatv2":
        module = GATv2Layer(WIDTH, HEADS, HEAD_WIDTH)
    elif layer == "history":
        module = HistoryAttention(HEADS, WIDTH)
        torch.nn.init.normal_(module.query)
    else:
        module = DegreePriorAttention(HEADS, attention=layer == "degree_prior")
        torch.nn.init.constant_(module.gamma, 0.5 if layer == "degree_prior" else 0.0)
    return lambda pair: module(*pair, messages)


def dgl_layer(user: np.ndarray, item: np.ndarray, layer: str) -> Call:
    counts = {"item": int(item.max()) + 1, "user": int(user.max()) + 1}
    graph = dgl.heterograph(
        {("item", "to", "user"): (torch.from_numpy(item), torch.from_numpy(user))}, counts
    )
    graph.create_formats_()
    module = getattr(dgl.nn, layer)((WIDTH, WIDTH), HEAD_WIDTH, HEADS)
    return lambda pair: module(graph, pair).flatten(1)


def pyg_layer(user: np.ndarray, item: np.ndarray, layer: str) -> Call:
    import torch_geometric.nn

    edges = torch.from_numpy(np.stack([item, user]))
    module = getattr(torch_geometric.nn, layer)(
        (WIDTH, WIDTH), HEAD_WIDTH, HEADS, add_self_loops=False
    )
    return lambda pair: module(pair, edges)


LAYERS: dict[str, tuple[str | None, Callable[[np.ndarray, np.ndarray, str], Call], str]] = {
    "degree_prior": (None, ours, "degree_prior"),
    "degree_prior, gamma = 0": (None, ours, "lightgcn"),
    "history": (None, ours, "history"),
    "gat": (None, ours, "gat"),
    "gatv2": (None, ours, "gatv2"),
    "dgl GATConv": ("dgl", dgl_layer, "GATConv"),
    "dgl GATv2Conv": ("dgl", dgl_layer, "GATv2Conv"),
    "pyg GATConv": ("torch_geometric", pyg_layer, "GATConv"),
    "pyg GATv2Conv": ("torch_geometric", pyg_layer, "GATv2Conv"),
}
"""By name: the package that it needs, how it is built, and the name of the layer there."""
OURS = [name for name, (package, _, _) in LAYERS.items() if package is None]


def inputs(user: np.ndarray, item: np.ndarray) -> tuple[Pair, Tensor]:
    generator = torch.Generator().manual_seed(0)
    num_items, num_users = int(item.max()) + 1, int(user.max()) + 1
    source, target, gradient = (
        torch.randn(n, WIDTH, generator=generator) for n in (num_items, num_users, num_users)
    )
    return (source.requires_grad_(), target.requires_grad_()), gradient


def step(call: Call, pair: Pair, gradient: Tensor) -> tuple[float, float]:
    """Milliseconds of one forward and one backward pass."""
    for states in pair:
        states.grad = None
    start = time.perf_counter()
    out = call(pair)
    middle = time.perf_counter()
    out.backward(gradient)
    return (middle - start) * 1e3, (time.perf_counter() - middle) * 1e3


def time_layers(
    user: np.ndarray, item: np.ndarray, names: list[str], rounds: int
) -> dict[str, dict[str, float]]:
    """Median milliseconds by layer; layers take turns, so that what else the machine does hits all
    of them.
    """
    torch.manual_seed(0)
    pair, gradient = inputs(user, item)
    calls = {name: LAYERS[name][1](user, item, LAYERS[name][2]) for name in names}
    for call in calls.values():
        step(call, pair, gradient)
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for _ in range(rounds):
        for name, call in calls.items():
            taken[name].append(step(call, pair, gradient))
    return {name: _summary(pairs) for name, pairs in taken.items()}


def growth_bytes(user: np.ndarray, item: np.ndarray, name: str) -> int:
    """Bytes that this process grows by at its peak during the first step of a layer (Linux)."""
    pair, gradient = inputs(user, item)
    call = LAYERS[name][1](user, item, LAYERS[name][2])
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
    before = _status_bytes("VmRSS")
    step(call, pair, gradient)
    return _status_bytes("VmHWM") - before


def _status_bytes(field: str) -> int:
    found = re.search(
        rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8")
    )
    return int(found[1]) * 1024 if found else 0


def _memory(arguments: argparse.Namespace, name: str) -> int:
    command = [
        sys.executable,
        "-m",
        "benchmarks.attention",
        str(arguments.train),
        "--memory-of",
        name,
    ]
    command += ["--threads", str(arguments.threads)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _summary(pairs: list[tuple[float, float]]) -> dict[str, float]:
    forward, backward = (statistics.median(values) for values in zip(*pairs, strict=True))
    both = [sum(pair) for pair in pairs]
    named = {
        "forward_ms": forward,
        "backward_ms": backward,
        "both_ms": statistics.median(both),
        "best_ms": min(both),
    }
    return {key: round(value, 1) for key, value in named.items()}


def _ratios(figures: dict[str, dict[str, float]], peer: str) -> dict[str, dict[str, float]]:
    """How many times a peer takes what each of ours takes."""
    return {
        name: {
            key: round(figures[peer][key] / figures[name][key], 2)
            for key in ("both_ms", "best_ms", "peak_growth_mb")
        }
        for name in OURS
    }


def _installed(name: str, package: str | None) -> bool:
    found = package is None or importlib.util.find_spec(package) is not None
    if not found:
        print(f"{name}: {package} is not installed, left out", file=sys.stderr)
    return found


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("train", type=Path, help="Parquet with user_id and item_id, one row a pair")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=cores())
    parser.add_argument(
        "--memory-of", choices=LAYERS, help="print the memory of one layer and stop"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
