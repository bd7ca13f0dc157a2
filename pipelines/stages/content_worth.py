"""What texts and pictures of items bring, on the test: beside attributes alone, on the same users."""

from dataclasses import replace

from pipelines.places import MODEL, TRAINED
from pipelines.runner import Work
from pipelines.stages.blend import chosen, scorer_of
from pipelines.stages.embeddings import load_embeddings
from recsys.core.encoder import Embeddings
from recsys.evaluate.cold_start import (
    cold_item_values,
    content_row,
    held_out_values,
    sparse_held_out,
)
from recsys.evaluate.document import ContentRow
from recsys.fitting.cold_items import place_cold_items
from recsys.graph.schema import Graph
from recsys.phases.phase import Phase
from recsys.scores.additions import blended_scaled
from recsys.scores.terms.content import ContentSettings
from recsys.scores.trained_vectors import TrainedVectors


def rows(work: Work, data: Phase, graph: Graph, embeddings: Embeddings, k: int) -> list[ContentRow]:
    """Of cold items, and of sparse items where the score has the term of similar content."""
    evaluate = work.config.evaluate
    content_rows = []
    cold = _cold(data, graph, embeddings, k, evaluate.bootstrap)
    if cold is not None:
        content_rows.append(cold)
    few = _sparse(work, data, graph, k)
    if few is not None:
        content_rows.append(few)
    return content_rows


def _cold(
    data: Phase, graph: Graph, embeddings: Embeddings, k: int, draws: int
) -> ContentRow | None:
    """None where the test has no cold item, or its users none."""
    placed = place_cold_items(data, graph, embeddings)
    if placed is None or not placed.held_out.nnz:
        return None
    alone = place_cold_items(replace(data, contents=()), graph, embeddings)
    values = cold_item_values(
        embeddings.users, placed.vectors, placed.is_placed, placed.held_out, k
    )
    without = 0 * values
    if alone is not None:
        without = cold_item_values(
            embeddings.users, alone.vectors, alone.is_placed, alone.held_out, k
        )
    num_rows = placed.held_out.nnz
    return content_row("cold items", values, without, num_rows, draws, data.config.seed)


def _sparse(work: Work, data: Phase, graph: Graph, k: int) -> ContentRow | None:
    """None where validation left similar content out of the score, or no sparse item is held out.

    Without it the other terms stay as they were chosen beside it.
    """
    blend = chosen(work, MODEL)
    held_out = sparse_held_out(data.interactions, data.target, data.judge.held_out_matrix)
    if not blend.of(ContentSettings).adds or not held_out.nnz:
        return None
    embeddings = load_embeddings(work.read(TRAINED.format(phase="final", bucket=MODEL)))
    trained = TrainedVectors(data.interactions, embeddings, graph)
    others = blended_scaled(
        data.with_graph(graph), trained, blend.with_settings(ContentSettings()), work.progress
    )
    values = held_out_values(scorer_of(work, data, MODEL), held_out, data.seen, k)
    without = held_out_values(others, held_out, data.seen, k)
    draws, seed = work.config.evaluate.bootstrap, work.config.seed
    return content_row("sparse items", values, without, held_out.nnz, draws, seed)
