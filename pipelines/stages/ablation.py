"""What a part of the graph is worth: the model trained again without it.

It is trained on the same rows for as many epochs, and its scores are put together by the blend of
the model itself.
"""

from pipelines.phases_on_disk import load_phase
from pipelines.places import GRAPH, MODEL, TRAINED
from pipelines.runner import Facts, Work
from pipelines.stages.blend import chosen
from pipelines.stages.scores import Scored
from pipelines.stages.training import CARD, settled
from recsys.core.artefacts import read_json
from recsys.fitting.fit import fit_phase
from recsys.graph.parts import has_part, without
from recsys.graph.store import load_graph
from recsys.scores.additions import blended_scaled
from recsys.scores.trained_vectors import TrainedVectors


def rank_without(work: Work) -> Facts:
    """Rank the test users by the model without the bucket's part of the graph."""
    title = f"Without {work.bucket}"
    whole_graph = load_graph(work.read(GRAPH.format(phase="final")))
    if not has_part(whole_graph, work.bucket):
        Scored(work.bucket, title, skipped="nothing of it is in the graph").save(work.out)
        return Facts()
    graph = without(whole_graph, work.bucket)
    # What is added to the vectors reads the reduced graph too. Seen items stay hidden.
    data = load_phase(work.folder.path, work.config, "final").with_graph(graph)
    card = read_json(work.read(TRAINED.format(phase="select", bucket=MODEL)) / CARD)
    epochs = int(card["epochs"])
    trained = fit_phase(
        data,
        graph,
        work.config.model,
        work.resume,
        epochs,
        progress=work.progress,
        settings=settled(card),
    )
    vectors = TrainedVectors(data.interactions, trained.embeddings, graph)
    scorer = blended_scaled(data, vectors, chosen(work, MODEL), work.progress)
    ranked = data.judge.ranked(scorer, max(work.config.evaluate.ks))
    Scored(work.bucket, title, {"epochs": epochs}, ranked=ranked).save(work.out)
    return Facts(rows_out=len(ranked))
