"""How visitors and cold items are served: figures for the report, on the test."""

from pipelines.phases_on_disk import load_phase
from pipelines.places import GRAPH, MODEL
from pipelines.runner import Facts, Work
from pipelines.stages import content_worth
from pipelines.stages.blend import embeddings_of, scorer_of
from pipelines.stages.popularity import popularity_half_life
from recsys.bundle.neighbours import neighbours_into_users
from recsys.core.artefacts import write_json
from recsys.core.encoder import LATEST, Embeddings
from recsys.evaluate.cold_start import Trained, cold_items, visitor_rows
from recsys.evaluate.document import ColdItems
from recsys.fitting.cold_items import place_cold_items
from recsys.graph.schema import Graph
from recsys.graph.store import load_graph
from recsys.phases.phase import Phase
from recsys.scores.most_popular import item_popularity
from recsys.scores.trained_vectors import decayed_edges

FIGURES = "cold_start.json"


def judge(work: Work) -> Facts:
    """Write what `evaluate.document` calls visitors, cold_items and content."""
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
    content = content_worth.rows(work, data, graph, embeddings, k) if data.contents else []
    document = {
        "visitors": [row.model_dump() for row in visitors],
        "cold_items": None if cold is None else cold.model_dump(),
        "content": [row.model_dump() for row in content],
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
    placed = place_cold_items(data, graph, embeddings)
    if placed is None:
        return None
    return cold_items(embeddings.users, placed.vectors, placed.is_placed, placed.held_out, k)
