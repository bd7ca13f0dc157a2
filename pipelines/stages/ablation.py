"""What a relation is worth: the model trained again without it, on the same rows, for as many
epochs.
"""

from pipelines.phases_on_disk import load_phase
from pipelines.places import GRAPH, TRAINED
from pipelines.runner import Facts, Work
from pipelines.stages.blend import chosen
from pipelines.stages.scores import Scored
from pipelines.stages.training import CARD, MODEL
from recsys.core.artefacts import read_json
from recsys.fitting.fit import fit_phase
from recsys.graph.parts import without
from recsys.graph.store import load_graph
from recsys.scores.additions import blended_shape
from recsys.scores.trained_vectors import TrainedVectors


def rank_without(work: Work) -> Facts:
    """Rank the test users by the model without the bucket's part of the graph; blended as the model
    itself is.
    """
    data = load_phase(work.folder.path, work.config, "final")
    whole = load_graph(work.read(GRAPH.format(phase="final")))
    graph, title = without(whole, work.bucket), f"Without {work.bucket}"
    if len(graph.relations) == len(whole.relations):
        Scored(work.bucket, title, skipped="it has no edge").save(work.out)
        return Facts()
    epochs = int(
        read_json(work.read(TRAINED.format(phase="select", bucket=MODEL)) / CARD)["epochs"]
    )
    trained = fit_phase(data, graph, work.config.model, work.resume, epochs, progress=work.progress)
    blend = chosen(work, MODEL)
    vectors = TrainedVectors(data.interactions, trained.embeddings, graph)
    scorer = blended_shape(data, vectors, blend, work.progress)
    ranked = data.judge.ranked(scorer, max(work.config.evaluate.ks))
    Scored(work.bucket, title, {"epochs": epochs}, ranked=ranked).save(work.out)
    return Facts(rows_out=len(ranked))
