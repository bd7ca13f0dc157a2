"""What is added to a trained model: chosen once, on validation; fitted on the rows of every phase."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from pipelines.phases_on_disk import load_phase
from pipelines.places import BLEND, GRAPH, MODEL, TRAINED, VALIDATION
from pipelines.runner import Facts, Work
from pipelines.stages.embeddings import load_embeddings, load_scaled, save_scaled, vectors_of
from pipelines.stages.scores import Scored
from pipelines.stages.served import served
from recsys.bundle.storage import load_array, load_matrix, save_array, save_matrix
from recsys.core.artefacts import read_json, write_json
from recsys.core.encoder import Embeddings
from recsys.encode.history_scores import BlendedScorer, HistoryScores
from recsys.graph.store import load_graph
from recsys.phases.phase import Phase, PhaseName
from recsys.scores.additions import FittedTerms, fit_history, fit_terms, with_history
from recsys.scores.blend import Blend
from recsys.scores.choice import Choice, choose_blend
from recsys.scores.inputs import auxiliary_behaviors
from recsys.scores.rivals import Rival
from recsys.scores.terms.auxiliary_behaviors import AuxiliarySettings
from recsys.scores.trained_vectors import TrainedVectors
from recsys.search.exact import VectorScorer

_CHOICE = "blend.json"
_TRIED = "tried.json"
_ADDED = "added.json"
_SCALED = "shape"


def fit(phase: PhaseName, rivals: Sequence[str] = ()) -> Callable[[Work], Facts]:
    """A stage function that adds terms to the bucket's variant.

    In "select" the search chooses their weights; later phases take what was chosen. What is chosen for
    the model stands beside `rivals`, baselines that were tuned.
    """

    def fit_phase_blend(work: Work) -> Facts:
        graph = load_graph(work.read(GRAPH.format(phase=phase)))
        data = load_phase(work.folder.path, work.config, phase).with_graph(graph)
        embeddings = load_embeddings(work.read(TRAINED.format(phase=phase, bucket=work.bucket)))
        vectors = TrainedVectors(data.interactions, embeddings, graph)
        if phase != "select":
            _fit(work, data, vectors, chosen(work, work.bucket))
            return Facts()
        terms = fit_terms(data, None, work.progress)
        choice = choose_blend(data, vectors, work.progress, terms, _rivals(work, rivals))
        _fit(work, data, vectors, choice.blend, terms)
        return _tell(work, data, choice)

    return fit_phase_blend


def _rivals(work: Work, names: Sequence[str]) -> list[Rival]:
    """The baselines that were tuned, for the model alone: its variants are only compared with it."""
    if work.bucket != MODEL:
        return []
    rivals = []
    for name in names:
        scored = Scored.load(work.read(VALIDATION.format(bucket=name)))
        if not scored.skipped:
            rivals.append(Rival(name, scored.title, scored.params, scored.ranked))
    return rivals


def chosen(work: Work, bucket: str) -> Blend:
    """What validation chose for a variant."""
    folder = work.read(BLEND.format(phase="select", bucket=bucket))
    return Blend.read(read_json(folder / _CHOICE))


def embeddings_of(work: Work, phase: PhaseName, bucket: str) -> Embeddings:
    """A trained variant scaled as its blend says."""
    embeddings = load_embeddings(work.read(TRAINED.format(phase=phase, bucket=bucket)))
    folder = work.read(BLEND.format(phase=phase, bucket=bucket)) / _SCALED
    return load_scaled(embeddings, folder) if folder.exists() else embeddings


def scorer_of(work: Work, data: Phase, bucket: str) -> VectorScorer | BlendedScorer:
    """A trained variant with what terms add."""
    vectors = vectors_of(embeddings_of(work, data.name, bucket))
    added = _load_added(work.read(BLEND.format(phase=data.name, bucket=bucket)), data)
    return with_history(data, vectors, added)


def _fit(
    work: Work,
    data: Phase,
    vectors: TrainedVectors,
    blend: Blend,
    terms: FittedTerms | None = None,
) -> None:
    """Write what `blend` needs in this phase.

    Args:
        work: its folder takes the files.
        data: of the phase.
        vectors: of the bucket's variant.
        blend: what was chosen.
        terms: where they are fitted already.
    """
    embeddings = vectors.embeddings_of(blend.scaling)
    if embeddings is not vectors.embeddings:
        (work.out / _SCALED).mkdir()
        save_scaled(embeddings, vectors.embeddings, work.out / _SCALED)
    added = fit_history(data, vectors_of(embeddings), blend, work.progress, terms)
    write_json(work.out / _CHOICE, blend.document())
    if added is not None:
        _save_added(added, work.out)


def _save_added(added: HistoryScores, folder: Path) -> None:
    save_matrix(folder, "table", sparse.csr_matrix(added.table), weighted=True)
    save_array(folder / "into.npy", np.asarray(added.into))
    save_array(folder / "back.npy", np.asarray(added.back))
    if added.auxiliary_gains:
        save_array(folder / "gains.npy", np.stack(list(added.auxiliary_gains.values())))
    facts: dict[str, Any] = {
        "half_life_events": added.half_life_events,
        "auxiliary_gains": list(added.auxiliary_gains),
        "auxiliary_weights": dict(added.auxiliary_weights),
    }
    write_json(folder / _ADDED, facts)


def _load_added(folder: Path, data: Phase) -> HistoryScores | None:
    """What a blend stage left; None where nothing is added."""
    if not (folder / "into.npy").exists():
        return None
    has_facts = (folder / _ADDED).exists()
    facts = read_json(folder / _ADDED) if has_facts else _facts_of_older(folder, data)
    into = load_array(folder / "into.npy")
    gains = {}
    if facts["auxiliary_gains"]:
        gain_rows = load_array(folder / ("gains.npy" if has_facts else "met_gain.npy"))
        gains = dict(zip(facts["auxiliary_gains"], gain_rows, strict=True))
    return HistoryScores(
        table=load_matrix(folder, "table", len(into), True),
        into=into,
        back=load_array(folder / "back.npy"),
        half_life_events=facts["half_life_events"],
        auxiliary_gains=gains,
        auxiliary_weights=facts["auxiliary_weights"],
    )


def _facts_of_older(folder: Path, data: Phase) -> dict[str, Any]:
    """What 0.1 left to be read from the blend itself."""
    blend = Blend.read(read_json(folder / _CHOICE))
    half_life_events, auxiliary_weight = blend.history_weights
    auxiliary_weights = {}
    if auxiliary_weight:
        auxiliary_weights = dict.fromkeys(auxiliary_behaviors(data), auxiliary_weight)
    return {
        "half_life_events": half_life_events,
        "auxiliary_gains": list(dict(blend.of(AuxiliarySettings).weights)),
        "auxiliary_weights": auxiliary_weights,
    }


def _tell(work: Work, data: Phase, choice: Choice) -> Facts:
    metric = f"NDCG@{work.config.train.metric_k}"
    told = served(choice, metric)
    if told is not None:
        words = [f"{name} {weight:g}" for name, weight in choice.blend.explain().items()]
        what = ", ".join(words) or "nothing added"
        work.progress.say(
            f"{work.bucket}: {what}: validation {metric} {choice.value:.4f} "
            f"(vectors alone {choice.alone:.4f})"
        )
    figures = {
        "value": choice.value,
        "alone": choice.alone,
        "blend": choice.blend.document(),
        "served": None if told is None else told.model_dump(mode="json"),
    }
    write_json(work.out / _TRIED, choice.tried)
    return Facts(rows_in=len(data.interactions), figures=figures)
