"""How visitors and cold items are served: figures for the report, on the test."""

import numpy as np
from scipy import sparse

from pipelines.phases_on_disk import load_phase
from pipelines.places import GRAPH
from pipelines.runner import Facts, Work
from pipelines.stages.blend import embeddings_of, scorer_of
from pipelines.stages.popularity import popular_days
from pipelines.stages.training import MODEL
from recsys.bundle.neighbours import neighbours_into_users
from recsys.core.artefacts import write_json
from recsys.core.encoder import Embeddings
from recsys.core.ids import UNKNOWN
from recsys.core.interactions import dense_of
from recsys.core.tables import ITEM, ITEM_ID, USER
from recsys.evaluate.cold_start import Trained, cold_items, visitor_rows
from recsys.evaluate.document import ColdItems
from recsys.fitting.cold_items import place_items
from recsys.graph.schema import Graph
from recsys.graph.store import load_graph
from recsys.phases.phase import Phase
from recsys.scores.most_popular import item_popularity
from recsys.scores.trained_vectors import faded

FIGURES = "cold_start.json"


def judge(work: Work) -> Facts:
    """Write what `evaluate.document` calls visitors and cold_items."""
    data = load_phase(work.folder.path, work.config, "final")
    graph = load_graph(work.read(GRAPH.format(phase="final")))
    embeddings = embeddings_of(work, "final", MODEL)
    neighbours = faded(
        neighbours_into_users(graph.relations), data.interactions, embeddings.encoder
    )
    relation = f"rev_{data.target}"
    popular = item_popularity(data.interactions, data.target, popular_days(work)).shares
    trained = Trained(
        scorer_of(work, data, MODEL), embeddings.encoder, relation, neighbours[relation], popular
    )
    k, config = work.config.evaluate.ks[0], work.config
    draws, seed = config.evaluate.bootstrap, config.seed
    held_out, seen = data.judge.held_out_matrix, data.seen
    visitors = visitor_rows(trained, data.interactions, data.target, held_out, seen, k, draws, seed)
    cold = _cold_items(data, graph, embeddings, k)
    document = {
        "visitors": [one.model_dump() for one in visitors],
        "cold_items": cold and cold.model_dump(),
    }
    write_json(work.out / FIGURES, document)
    return Facts(figures=document)


def _cold_items(data: Phase, graph: Graph, embeddings: Embeddings, k: int) -> ColdItems | None:
    """Items of the test that the phase has no row of."""
    codes = np.setdiff1d(np.arange(len(data.log.items)), data.interactions.item_codes)
    new = place_items(data, graph, embeddings, codes) if len(codes) else None
    if new is None:
        return None
    places = np.searchsorted(codes, data.log.items.lookup(new.table[ITEM_ID].to_list()))
    vectors = np.zeros((len(codes), new.vectors.shape[1]), np.float32)
    vectors[places] = new.vectors
    rows = data.judge.held_out.cold
    user = dense_of(rows[USER].to_numpy(), data.interactions.user_codes)
    item = dense_of(rows[ITEM].to_numpy(), codes.astype(np.int32))
    both = (user != UNKNOWN) & (item != UNKNOWN)
    shape = (data.interactions.num_users, len(codes))
    taken = sparse.csr_matrix(
        (np.ones(int(both.sum()), np.float32), (user[both], item[both])), shape=shape
    )
    taken.data[:] = 1.0
    return cold_items(embeddings.users, vectors, np.isin(np.arange(len(codes)), places), taken, k)
