"""What histories add to a trained model: weighed once, on validation; made anew from the rows of every phase."""

from collections.abc import Callable

import numpy as np
from scipy import sparse

from pipelines.phases_on_disk import load_phase
from pipelines.places import BLEND, TRAINED
from pipelines.runner import Facts, Work
from pipelines.stages.embeddings import vectors_of
from recsys.blending import Blend, Choice, choose_blend, fit_history, ingredients, with_history
from recsys.core.artefacts import read_json, write_json
from recsys.index.exact import VectorScorer
from recsys.index.history import BlendedScorer, HistoryScores
from recsys.index.stored import load_array, load_matrix, save_array, save_matrix
from recsys.phases import Phase, PhaseName

_CHOICE = "blend.json"


def fit(phase: PhaseName) -> Callable[[Work], Facts]:
    """A stage function that blends the bucket's variant: in "select" it chooses, later it takes what was chosen."""

    def fit_phase_blend(work: Work) -> Facts:
        data = load_phase(work.folder.path, work.config, phase)
        vectors = vectors_of(work.read(TRAINED.format(phase=phase, bucket=work.bucket)))
        if phase == "select":
            made = ingredients(data, None, work.progress)
            choice = choose_blend(data, vectors, work.progress, made)
            _keep(work, choice.blend, fit_history(data, vectors, choice.blend, made=made))
            return _told(work, data, choice)
        blend = chosen(work, work.bucket)
        _keep(work, blend, fit_history(data, vectors, blend, work.progress))
        return Facts()

    return fit_phase_blend


def chosen(work: Work, bucket: str) -> Blend:
    """What validation chose for a variant."""
    return Blend.model_validate(read_json(work.read(BLEND.format(phase="select", bucket=bucket)) / _CHOICE))


def _load_history(work: Work, phase: PhaseName, bucket: str) -> HistoryScores | None:
    """What a blend stage left; None where nothing is added."""
    folder = work.read(BLEND.format(phase=phase, bucket=bucket))
    blend = Blend.model_validate(read_json(folder / _CHOICE))
    if blend.empty:
        return None
    into = load_array(folder / "into.npy")
    return HistoryScores(
        load_matrix(folder, "table", len(into), True),
        into,
        load_array(folder / "back.npy"),
        blend.half_life,
        dict(zip(dict(blend.met), load_array(folder / "met_gain.npy"), strict=True)) if blend.met else {},
    )


def scorer_of(work: Work, data: Phase, bucket: str) -> VectorScorer | BlendedScorer:
    """A trained variant with what histories add."""
    vectors = vectors_of(work.read(TRAINED.format(phase=data.name, bucket=bucket)))
    return with_history(data, vectors, _load_history(work, data.name, bucket))


def _told(work: Work, data: Phase, choice: Choice) -> Facts:
    if choice.value is not None:
        metric = f"NDCG@{work.config.train.metric_k}"
        work.progress.say(
            f"{work.bucket}: {', '.join(f'{name} {weight:g}' for name, weight in choice.blend.weights().items())}: "
            f"validation {metric} {choice.value:.4f} (vectors alone {choice.alone:.4f})"
        )
    figures = {"value": choice.value, "alone": choice.alone, "tried": choice.tried, **choice.blend.model_dump()}
    return Facts(rows_in=len(data.interactions), figures=figures)


def _keep(work: Work, blend: Blend, added: HistoryScores | None) -> None:
    write_json(work.out / _CHOICE, blend.model_dump())
    if added is not None:
        save_matrix(work.out, "table", sparse.csr_matrix(added.table), weighted=True)
        for name in ("into", "back"):
            save_array(work.out / f"{name}.npy", np.asarray(getattr(added, name)))
        if added.gain:
            save_array(work.out / "met_gain.npy", np.stack(list(added.gain.values())))
