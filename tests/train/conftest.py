import numpy as np
import polars as pl
import pytest

from recsys.core.config import GraphConfig
from recsys.core.ids import IdMap
from recsys.core.interactions import Interactions, fit_interactions
from recsys.core.tables import ITEM, ITEM_ID, USER, USER_ID
from recsys.graph.build import build_graph
from recsys.graph.schema import Graph
from recsys.logs.synthetic import communities


def phase_of(log: pl.DataFrame) -> Interactions:
    """A log as the interactions of one phase."""
    log = log.unique([USER_ID, ITEM_ID], maintain_order=True)
    users, items = (IdMap(log[column].unique().sort(), column) for column in (USER_ID, ITEM_ID))
    rows = pl.DataFrame(
        {USER: users.lookup(log[USER_ID].to_list()), ITEM: items.lookup(log[ITEM_ID].to_list())}
    )
    return fit_interactions(rows, users, items, ("interaction",))


@pytest.fixture(scope="session")
def make_phase():
    return phase_of


@pytest.fixture(scope="session")
def phase() -> Interactions:
    return phase_of(communities(num_users=80, num_items=40, events_per_user=12, seed=1).log)


@pytest.fixture(scope="session")
def graph(phase: Interactions) -> Graph:
    return build_graph(phase, GraphConfig())


@pytest.fixture
def recall():
    """Share of held-out pairs among the k best unseen items of their users."""

    def measure(embeddings, phase: Interactions, held: dict[int, int], k: int = 5) -> float:
        scores = embeddings.users @ embeddings.items.T
        scores[phase.user, phase.item] = -np.inf
        best = np.argsort(-scores, axis=1)[:, :k]
        return float(np.mean([item in best[user] for user, item in held.items()]))

    return measure
