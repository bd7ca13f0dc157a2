"""What histories do to a trained model: weighed once, on validation; made anew from the rows of
every phase.
"""

from collections.abc import Callable

import numpy as np
from scipy import sparse

from pipelines.phases_on_disk import load_phase
from pipelines.places import BLEND, GRAPH, TRAINED
from pipelines.runner import Facts, Work
from pipelines.stages.embeddings import load_embeddings, load_scaled, save_scaled, vectors_of
from recsys.bundle.storage import load_array, load_matrix, save_array, save_matrix
from recsys.core.artefacts import read_json, write_json
from recsys.core.encoder import Embeddings
from recsys.encode.history_scores import BlendedScorer, HistoryScores
from recsys.graph.store import load_graph
from recsys.phases.phase import Phase, PhaseName
from recsys.scores.additions import fit_history, with_history
from recsys.scores.choice import Choice, choose_blend
from recsys.scores.ingredients import Blend, Ingredients, ingredients, met_behaviors
from recsys.scores.trained_vectors import TrainedVectors
from recsys.search.exact import VectorScorer

_CHOICE = "blend.json"
_SHAPE = "shape"


def fit(phase: PhaseName) -> Callable[[Work], Facts]:
    """A stage function that blends the bucket's variant: in "select" it chooses, later it takes
    what was chosen.
    """

    def fit_phase_blend(work: Work) -> Facts:
        data = load_phase(work.folder.path, work.config, phase)
        trained = load_embeddings(work.read(TRAINED.format(phase=phase, bucket=work.bucket)))
        vectors = TrainedVectors(
            data.interactions, trained, load_graph(work.read(GRAPH.format(phase=phase)))
        )
        if phase == "select":
            made = ingredients(data, None, work.progress)
            choice = choose_blend(data, vectors, work.progress, made)
            _fit(work, data, vectors, choice.blend, made)
            return _told(work, data, choice)
        _fit(work, data, vectors, chosen(work, work.bucket))
        return Facts()

    return fit_phase_blend


def chosen(work: Work, bucket: str) -> Blend:
    """What validation chose for a variant."""
    return Blend.model_validate(
        read_json(work.read(BLEND.format(phase="select", bucket=bucket)) / _CHOICE)
    )


def embeddings_of(work: Work, phase: PhaseName, bucket: str) -> Embeddings:
    """A trained variant in the shape of its blend."""
    trained = load_embeddings(work.read(TRAINED.format(phase=phase, bucket=bucket)))
    shape = work.read(BLEND.format(phase=phase, bucket=bucket)) / _SHAPE
    return load_scaled(trained, shape) if shape.exists() else trained


def _load_history(work: Work, data: Phase, bucket: str) -> HistoryScores | None:
    """What a blend stage left; None where nothing is added."""
    folder = work.read(BLEND.format(phase=data.name, bucket=bucket))
    blend = Blend.model_validate(read_json(folder / _CHOICE))
    if blend.empty:
        return None
    into = load_array(folder / "into.npy")
    return HistoryScores(
        load_matrix(folder, "table", len(into), True),
        into,
        load_array(folder / "back.npy"),
        blend.half_life,
        dict(zip(dict(blend.met), load_array(folder / "met_gain.npy"), strict=True))
        if blend.met
        else {},
        dict.fromkeys(met_behaviors(data), blend.heard) if blend.heard else {},
    )


def scorer_of(work: Work, data: Phase, bucket: str) -> VectorScorer | BlendedScorer:
    """A trained variant with what histories add."""
    vectors = vectors_of(embeddings_of(work, data.name, bucket))
    return with_history(data, vectors, _load_history(work, data, bucket))


def _fit(
    work: Work, data: Phase, vectors: TrainedVectors, blend: Blend, made: Ingredients | None = None
) -> None:
    """Write what `blend` needs in this phase."""
    found = vectors.embeddings_of(blend.scaling)
    if found is not vectors.embeddings:
        (work.out / _SHAPE).mkdir()
        save_scaled(found, vectors.embeddings, work.out / _SHAPE)
    _keep(work, blend, fit_history(data, vectors_of(found), blend, work.progress, made))


def _told(work: Work, data: Phase, choice: Choice) -> Facts:
    if choice.value is not None:
        metric = f"NDCG@{work.config.train.metric_k}"
        work.progress.say(
            f"{work.bucket}: {', '.join(f'{name} {weight:g}' for name, weight in choice.blend.weights().items())}: "
            f"validation {metric} {choice.value:.4f} (vectors alone {choice.alone:.4f})"
        )
    figures = {
        "value": choice.value,
        "alone": choice.alone,
        "tried": choice.tried,
        **choice.blend.model_dump(),
    }
    return Facts(rows_in=len(data.interactions), figures=figures)


def _keep(work: Work, blend: Blend, added: HistoryScores | None) -> None:
    write_json(work.out / _CHOICE, blend.model_dump())
    if added is not None:
        save_matrix(work.out, "table", sparse.csr_matrix(added.table), weighted=True)
        for name in ("into", "back"):
            save_array(work.out / f"{name}.npy", np.asarray(getattr(added, name)))
        if added.auxiliary_gains:
            save_array(work.out / "met_gain.npy", np.stack(list(added.auxiliary_gains.values())))
