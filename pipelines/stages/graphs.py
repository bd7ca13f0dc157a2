"""The typed graph of a phase."""

from collections.abc import Callable

from pipelines.phases_on_disk import load_phase
from pipelines.runner import Facts, Work
from recsys.graph.build import left_out
from recsys.graph.store import save_graph
from recsys.phases.phase import PhaseName


def build(phase: PhaseName) -> Callable[[Work], Facts]:
    """A stage function that builds and saves the graph of `phase`."""

    def build_phase(work: Work) -> Facts:
        data = load_phase(work.folder.path, work.config, phase)
        graph = data.graph
        save_graph(graph, work.out)
        if (days := data.graph_config.half_life_of()) is not None:
            asked = work.config.graph.half_life_days
            work.progress.say(
                f"edges of the log halve in {days:.1f} days (graph.half_life_days = {asked})",
                days=days,
            )
        for name in left_out(graph, work.config.graph, data.relations, data.interactions.behaviors):
            work.progress.say(
                f"relation {name} has no edge in the phase {phase} and is left out", relation=name
            )
        edges = {
            relation: adjacency.num_edges for (_, relation, _), adjacency in graph.relations.items()
        }
        return Facts(
            rows_in=len(data.interactions),
            rows_out=graph.num_edges,
            drops=graph.drops,
            figures={"nodes": dict(graph.num_nodes), "edges": edges},
        )

    return build_phase
