"""How visitors and cold items are served: figures for the report, on the test."""

import numpy as np
from scipy import sparse

from pipelines.phases_on_disk import load_phase
from pipelines.places import GRAPH, MODEL
from pipelines.runner import Facts, Work
from pipelines.stages.blend import embeddings_of, scorer_of
from pipelines.stages.popularity import popularity_half_life
from recsys.bundle.neighbours import neighbours_into_users
from recsys.core.arrays import IntArray
from recsys.core.artefacts import write_json
from recsys.core.encoder import LATEST, Embeddings
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
from recsys.scores.trained_vectors import decayed_edges

FIGURES = "cold_start.json"


def judge(work: Work) -> Facts:
    """Write what `evaluate.document` calls visitors and cold_items."""
    data = load_phase(work.folder.path, work.config, "final")
    graph = load_graph(work.read(GRAPH.format(phase="final")))
    embeddings = embeddings_of(work, "final", MODEL)
    evaluate = work.config.evaluate
    k = evaluate.ks[0]
    visitors = visitor_rows(
        _trained(work, data, graph, embeddings),
        data.interactions,
        data.target,
        data.judge.held_out_matrix,
        data.seen,
        k,
        evaluate.bootstrap,
        work.config.seed,
    )
    cold = _cold_items(data, graph, embeddings, k)
    document = {
        "visitors": [row.model_dump() for row in visitors],
        "cold_items": None if cold is None else cold.model_dump(),
    }
    write_json(work.out / FIGURES, document)
    return Facts(figures=document)


def _trained(work: Work, data: Phase, graph: Graph, embeddings: Embeddings) -> Trained:
    """The tested model as visitors are scored by it."""
    neighbours = neighbours_into_users(graph.relations)
    decayed = decayed_edges(neighbours, data.histories, embeddings.encoder)
    of_target = {f"rev_{data.target}", LATEST}
    heard = {name: edges for name, edges in decayed.items() if name in of_target}
    popularity = item_popularity(data.histories, data.target, popularity_half_life(work))
    scorer = scorer_of(work, data, MODEL)
    return Trained(scorer, embeddings.encoder, heard, popularity.shares)


def _cold_items(data: Phase, graph: Graph, embeddings: Embeddings, k: int) -> ColdItems | None:
    """Items of the test that the phase has no row of; None where none could be placed."""
    all_codes = np.arange(len(data.log.items))
    codes = np.setdiff1d(all_codes, data.interactions.item_codes)
    if not len(codes):
        return None
    new = place_items(data, graph, embeddings, codes)
    if new is None:
        return None
    placed_codes = data.log.items.lookup(new.table[ITEM_ID].to_list())
    columns = np.searchsorted(codes, placed_codes)
    vectors = np.zeros((len(codes), new.vectors.shape[1]), np.float32)
    vectors[columns] = new.vectors
    is_placed = np.zeros(len(codes), bool)
    is_placed[columns] = True
    return cold_items(embeddings.users, vectors, is_placed, _held_out_pairs(data, codes), k)


def _held_out_pairs(data: Phase, codes: IntArray) -> sparse.csr_matrix:
    """(users, items of `codes`) 1 for each held-out pair of a known user and one of them."""
    rows = data.judge.held_out.cold
    user = dense_of(rows[USER].to_numpy(), data.interactions.user_codes)
    item = dense_of(rows[ITEM].to_numpy(), codes.astype(np.int32))
    both = (user != UNKNOWN) & (item != UNKNOWN)
    ones = np.ones(int(both.sum()), np.float32)
    shape = (data.interactions.num_users, len(codes))
    pairs = sparse.csr_matrix((ones, (user[both], item[both])), shape=shape)
    pairs.data[:] = 1.0
    return pairs
