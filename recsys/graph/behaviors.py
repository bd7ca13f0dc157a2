"""Relations into users whose edges are events of a behaviour, and blocks of users made from them."""

from recsys.core.config import ModelConfig
from recsys.core.interactions import Interactions
from recsys.graph.histories import HistoryBlocks
from recsys.graph.schema import ITEM, USER, EdgeType, Graph


def behavior_relations(graph: Graph, interactions: Interactions) -> dict[EdgeType, str]:
    """By relation into users, the behaviour whose events are its edges."""
    behaviors = {}
    for relation in graph.relations:
        source, name, destination = relation
        behavior = name.removeprefix("rev_")
        if (source, destination) == (ITEM, USER) and behavior in interactions.behaviors:
            behaviors[relation] = behavior
    return behaviors


def history_blocks_of(
    graph: Graph, interactions: Interactions, model: ModelConfig, horizon: int = 1
) -> HistoryBlocks:
    """Blocks of users as `model` reads histories; horizon: of training."""
    behaviors = behavior_relations(graph, interactions)
    return HistoryBlocks(graph, interactions, model.history, model.reads_order, behaviors, horizon)
