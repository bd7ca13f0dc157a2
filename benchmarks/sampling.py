"""Sampled training batches a second: ours against DGL's own edge DataLoader, on the same graph and
fan-outs.

Ours are the trainer's batches, complete: pairs in random order, one uniform negative a pair with
known positives masked, target edges and their reverses excluded, blocks with weights, degrees and
row scales as tensors. DGL's come from as_edge_prediction_sampler with one uniform negative a pair,
twice: on the typed graph (exclude "reverse_types") and on the graph without types (exclude
"reverse_id"). All take turns in one process; edges are those of the blocks.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from benchmarks.interactions_of import load_phase
from benchmarks.record import record
from recsys.core.config import GraphConfig, TrainConfig
from recsys.core.interactions import Interactions
from recsys.core.machine import cores
from recsys.graph.build import build_graph
from recsys.graph.dgl_graph import DglDraw, dgl, to_dgl
from recsys.graph.sampling import BlockSampler
from recsys.graph.schema import Graph, reverse
from recsys.train.batches import Batches

Counted = Iterator[int]
"""Makes one batch at every step, and gives the edges of its blocks."""


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    dgl.utils.set_num_threads(arguments.threads)
    interactions, _, _ = load_phase(arguments.folder)
    graph = build_graph(interactions, GraphConfig())
    layers = len(arguments.fanouts)
    drawn_from_csr = BlockSampler(graph, arguments.fanouts, layers)
    drawn_by_dgl = BlockSampler(graph, arguments.fanouts, layers, DglDraw(graph))
    sides = {
        "ours": ours(interactions, drawn_from_csr, arguments.batch_size),
        "ours_drawn_by_dgl": ours(interactions, drawn_by_dgl, arguments.batch_size),
        "dgl_reverse_types": dgl_typed(graph, arguments),
        "dgl_reverse_id": dgl_untyped(graph, arguments),
    }
    record(
        "sampling",
        _figures(_take_turns(sides, arguments.batches), arguments),
        data=arguments.folder.name,
    )


def ours(interactions: Interactions, sampler: BlockSampler, batch_size: int) -> Counted:
    config = TrainConfig(batch_size=batch_size, loss="bpr", user_dropout=0)
    batches = Batches(interactions.matrix(), config, seed=0, sampler=sampler)
    for batch in chain.from_iterable(map(batches.epoch, range(1_000_000))):
        yield sum(
            messages.adjacency.num_edges
            for block in batch.blocks
            for messages in block.messages.values()
        )


def dgl_typed(graph: Graph, arguments: argparse.Namespace) -> Counted:
    heterograph = to_dgl(graph)
    name, back = graph.target[1], reverse(graph.target)[1]
    # reverse_types takes an edge and its reverse to have the same id.
    user, item = heterograph.edges(etype=graph.target, order="eid")
    heterograph = dgl.heterograph(
        {graph.target: (user, item), reverse(graph.target): (item, user)},
        num_nodes_dict=graph.num_nodes,
    )
    edges = {name: torch.arange(len(user), dtype=torch.int32)}
    excluding = {"exclude": "reverse_types", "reverse_etypes": {name: back, back: name}}
    yield from _dgl_batches(heterograph, edges, arguments, excluding)


def dgl_untyped(graph: Graph, arguments: argparse.Namespace) -> Counted:
    user, item = to_dgl(graph).edges(etype=graph.target, order="eid")
    item = item + graph.num_nodes["user"]
    count = len(user)
    both = dgl.graph(
        (torch.cat([user, item]), torch.cat([item, user])), num_nodes=sum(graph.num_nodes.values())
    )
    other = torch.cat([torch.arange(count, 2 * count), torch.arange(count)]).int()
    edges = torch.arange(count, dtype=torch.int32)
    yield from _dgl_batches(
        both, edges, arguments, {"exclude": "reverse_id", "reverse_eids": other}
    )


def _dgl_batches(
    heterograph: Any, edges: Any, arguments: argparse.Namespace, excluding: dict[str, Any]
) -> Counted:
    """DGL lists fan-outs outermost layer first."""
    sampler = dgl.dataloading.as_edge_prediction_sampler(
        dgl.dataloading.NeighborSampler(arguments.fanouts[::-1]),
        negative_sampler=dgl.dataloading.negative_sampler.Uniform(1),
        **excluding,
    )
    loader = dgl.dataloading.DataLoader(
        _indexed(heterograph),
        edges,
        sampler,
        batch_size=arguments.batch_size,
        shuffle=True,
        num_workers=0,
    )
    while True:
        for _, _, _, blocks in loader:
            yield sum(
                block.num_edges(edge_type)
                for block in blocks
                for edge_type in block.canonical_etypes
            )


def _indexed(heterograph: Any) -> Any:
    """With every index DGL will ask for made beforehand: rows to draw from, edge lists to cut
    subgraphs from.
    """
    indexed = heterograph.formats(["coo", "csc"])
    indexed.create_formats_()
    return indexed


def _take_turns(sides: dict[str, Counted], batches: int) -> dict[str, list[tuple[float, int]]]:
    """(seconds, edges) of each batch, one side after the other; the first batch of a side is not
    counted.
    """
    taken: dict[str, list[tuple[float, int]]] = {name: [] for name in sides}
    for side in sides.values():
        next(side)
    for _ in range(batches):
        for name, side in sides.items():
            taken[name].append(_timed(lambda side=side: next(side)))
    return taken


def _timed(step: Callable[[], int]) -> tuple[float, int]:
    started = time.perf_counter()
    edges = step()
    return time.perf_counter() - started, edges


def _figures(
    taken: dict[str, list[tuple[float, int]]], arguments: argparse.Namespace
) -> dict[str, Any]:
    rate = {
        name: statistics.median(edges / seconds for seconds, edges in rows)
        for name, rows in taken.items()
    }
    milliseconds = {
        name: 1e3 * statistics.median(seconds for seconds, _ in rows)
        for name, rows in taken.items()
    }
    edges = {name: statistics.median(edges for _, edges in rows) for name, rows in taken.items()}
    fastest = max(rate["dgl_reverse_types"], rate["dgl_reverse_id"])
    return {
        "edges_per_second": {name: round(value) for name, value in rate.items()},
        "ms_per_batch": {name: round(value, 2) for name, value in milliseconds.items()},
        "edges_per_batch": edges,
        "ratio_to_fastest_dgl": round(rate["ours"] / fastest, 2),
        "goal": 2.0,
        "threads": arguments.threads,
        "batch_size": arguments.batch_size,
        "fanouts": arguments.fanouts,
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks sampling", description=__doc__)
    parser.add_argument(
        "folder", type=Path, help="train.parquet and test.parquet with user_id and item_id"
    )
    parser.add_argument(
        "--fanouts", type=int, nargs="+", default=[20, 10], help="seeds' layer first"
    )
    parser.add_argument("--batch-size", type=int, default=4096)
    parser.add_argument("--batches", type=int, default=40)
    parser.add_argument("--threads", type=int, default=cores())
    return parser.parse_args()


if __name__ == "__main__":
    main()
