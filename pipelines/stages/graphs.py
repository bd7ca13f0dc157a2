"""The typed graph of a phase."""

from collections.abc import Callable

from pipelines.phases_on_disk import load_phase
from pipelines.runner import Facts, Work
from recsys.graph.build import left_out
from recsys.graph.schema import Graph
from recsys.graph.store import save_graph
from recsys.phases.phase import Phase, PhaseName


def build(phase: PhaseName) -> Callable[[Work], Facts]:
    """A stage function that builds and saves the graph of `phase`."""

    def build_phase(work: Work) -> Facts:
        data = load_phase(work.folder.path, work.config, phase)
        graph = data.graph
        save_graph(graph, work.out)
        _tell(work, data, graph)
        edges = {}
        for (_, relation, _), adjacency in graph.relations.items():
            edges[relation] = adjacency.num_edges
        return Facts(
            rows_in=len(data.interactions),
            rows_out=graph.num_edges,
            drops=graph.drops,
            figures={"nodes": dict(graph.num_nodes), "edges": edges},
        )

    return build_phase


def _tell(work: Work, data: Phase, graph: Graph) -> None:
    """Say what half-life edges have, and which relations have no edge."""
    config = work.config.graph
    days = data.graph_config.half_life_of()
    if days is not None:
        work.progress.say(
            f"edges of the log halve in {days:.1f} days "
            f"(graph.half_life_days = {config.half_life_days})",
            days=days,
        )
    for name in left_out(graph, config, data.relations, data.interactions.behaviors):
        work.progress.say(
            f"relation {name} has no edge in the phase {data.name} and is left out", relation=name
        )
