"""Training: epochs are chosen on validation in the phase "select"; the later phases train for that
many.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pipelines.phases_on_disk import load_phase
from pipelines.places import GRAPH, LIGHTGCN, MODEL, TRAINED
from pipelines.runner import HERE, Facts, Work
from pipelines.stages.blend import chosen, scorer_of
from pipelines.stages.embeddings import save_embeddings
from pipelines.stages.lists import lists
from pipelines.stages.scores import Scored, save_first_stage
from pipelines.stages.second_stage import lists_by_both
from recsys.core.artefacts import RunFolder, read_json, write_json
from recsys.core.config import ModelConfig
from recsys.core.progress import QUIET, Progress
from recsys.core.ranking import Scorer
from recsys.fitting.fit import fit_phase, start_from
from recsys.graph.schema import Graph
from recsys.graph.store import load_graph
from recsys.model.mass import message_mass
from recsys.phases.phase import Phase, PhaseName
from recsys.train.launch import run_group, threads_of, uses_gpu
from recsys.train.probe import Settings
from recsys.train.ranks import ALONE, Ranks
from recsys.train.warm_start import WarmStart, load_states, states_of

CARD, MASS, _FACTS = "training.json", "mass.json", "facts.json"


def fit(phase: PhaseName) -> Callable[[Work], Facts]:
    """A stage function that trains the bucket's variant ("model" or "lightgcn") on the rows of
    `phase`.
    """

    def fit_variant(work: Work) -> Facts:
        if work.config.group.workers > 1:
            return _fit_together(work, phase)
        return _fit(work, phase)

    return fit_variant


def _fit(work: Work, phase: PhaseName, ranks: Ranks = ALONE, threads: int | None = None) -> Facts:
    """Train, and leave the vectors and weights in `work.out`."""
    data = load_phase(work.folder.path, work.config, phase)
    graph = load_graph(work.read(GRAPH.format(phase=phase)))
    model = variant(work.config.model, work.bucket)
    trained = fit_phase(
        data,
        graph,
        model,
        work.resume,
        _epochs(work, phase),
        _start(work, data, graph),
        work.progress,
        settings=_settings(work, phase),
        ranks=ranks,
        threads=threads,
    )
    # No timings in the output: the same weights are the same bytes, and what follows them stays
    # unchanged.
    card: dict[str, Any] = {
        "epochs": trained.best_epoch,
        "value": trained.best_value,
        "stopped": trained.stopped,
        "weight_powers": trained.network.weight_powers(),
        "settings": trained.settings.document(),
    }
    if ranks.leads:
        save_embeddings(trained.embeddings, work.out)
        states_of(trained.network, graph, data.interactions).save(work.out)
        if len(graph.relations) > 2:  # more than the target behaviour and its reverse
            write_json(work.out / MASS, message_mass(trained.network, graph, data.interactions))
        write_json(work.out / CARD, card)
    history = [asdict(record) for record in trained.history]
    return Facts(
        rows_in=len(data.interactions),
        figures={**card, "history": history, "plan": trained.plan.facts()},
    )


def _fit_together(work: Work, phase: PhaseName) -> Facts:
    """The same by a group of processes, of which the first writes."""
    group = work.config.group
    on_gpu = uses_gpu(work.config.train.device)
    arguments = (_elsewhere(work), phase)
    run_group(_fit_as_one_of, arguments, group, work.resume, work.progress, on_gpu)
    facts = read_json(work.resume / _FACTS)
    return Facts(rows_in=facts["rows_in"], figures=facts["figures"])


def _elsewhere(work: Work) -> Work:
    """Work as another process can have it, which may run in another folder and has no runner."""
    return replace(
        work,
        folder=RunFolder(work.folder.path.absolute()),
        out=work.out.absolute(),
        resume=work.resume.absolute(),
        progress=QUIET,
        where=HERE,
    )


def _fit_as_one_of(ranks: Ranks, progress: Progress, work: Work, phase: PhaseName) -> None:
    threads = threads_of(work.config.group, work.config.threads)
    facts = _fit(replace(work, progress=progress), phase, ranks, threads)
    if ranks.leads:
        write_json(work.resume / _FACTS, {"rows_in": facts.rows_in, "figures": facts.figures})


def score(phase: PhaseName) -> Callable[[Work], Facts]:
    """A stage function that ranks the held-out users of `phase` by a trained variant."""

    def score_phase(work: Work) -> Facts:
        data = load_phase(work.folder.path, work.config, phase)
        ranked = lists(work, data, trained)
        card = read_json(work.read(TRAINED.format(phase=phase, bucket=work.bucket)) / CARD)
        params = {"epochs": card["epochs"], **chosen(work, work.bucket).explain()}
        for name, power in card.get("weight_powers", {}).items():
            params[f"{name} weights to the power"] = round(power, 2)
        if phase == "final" and work.bucket == MODEL:
            scorer = scorer_of(work, data, work.bucket)
            both = lists_by_both(work, data, scorer, max(work.config.evaluate.ks))
            if both is not None:
                save_first_stage(work.out, ranked)
                params["second stage"] = "LightGBM"
                ranked = both
        Scored(work.bucket, title(work.config.model, work.bucket), params, ranked=ranked).save(
            work.out
        )
        return Facts(rows_out=len(ranked))

    return score_phase


def trained(work: Work, data: Phase) -> Scorer:
    """The trained variant of the bucket, with what terms add."""
    return scorer_of(work, data, work.bucket)


def variant(config: ModelConfig, name: str) -> ModelConfig:
    """What "lightgcn" changes: nothing is attended to, everything else is the model's.

    Of the family history it is the mean of a set; of the others LightGCN, γ = 0.
    """
    if name != LIGHTGCN:
        return config
    if config.family == "history":
        return config.model_copy(update={"pooling": "mean"})
    return config.model_copy(update={"attention": False, "family": "degree_prior"})


def title(config: ModelConfig, name: str) -> str:
    """What reports call a variant."""
    if name != LIGHTGCN:
        return "Graph attention"
    if config.family == "history":
        return "Mean of the history"
    return "LightGCN (γ = 0, same budget)"


def _start(work: Work, data: Phase, graph: Graph) -> WarmStart | None:
    """The states that training goes on from; None for the configured start."""
    if work.config.train.warm_start is not None:
        return _states_of_earlier_run(work, data, graph, work.config.train.warm_start)
    if data.name == "serve":
        return _states_of_tested(work, data, graph)
    return None


def _states_of_earlier_run(work: Work, data: Phase, graph: Graph, earlier: str) -> WarmStart | None:
    """Those of the same phase of the run that is named.

    Phase to phase, and before serving only under a split in time: states must not have seen what is
    held out now.
    """
    if data.splits is not None and not data.splits.time_safe:
        work.progress.say(
            f"{data.name}: no warm start, its states may have seen the rows held out here"
        )
        return None
    folder = Path(earlier) / TRAINED.format(phase=data.name, bucket=work.bucket)
    states = start_from(data, graph, load_states(folder))
    known = ", ".join(f"{count:,} {kind} known" for kind, count in states.known.items())
    work.progress.say(f"{data.name}: warm start, {known}")
    return states


def _states_of_tested(work: Work, data: Phase, graph: Graph) -> WarmStart | None:
    """Those of the model that was tested, whose rows are all here; None where training goes through
    all its epochs.
    """
    chosen = _chosen_epochs(work)
    last = work.config.train.refit_epochs(chosen)
    if last == chosen:
        return None
    work.progress.say(
        f"{data.name}: the last {last} of {chosen} epochs, from the tested model's states"
    )
    states = load_states(work.read(TRAINED.format(phase="final", bucket=work.bucket)))
    return start_from(data, graph, states, chosen - last)


def _epochs(work: Work, phase: PhaseName) -> int | None:
    """None lets validation choose; later phases take what it chose."""
    return None if phase == "select" else _chosen_epochs(work)


def _chosen_epochs(work: Work) -> int:
    """What validation chose."""
    folder = work.read(TRAINED.format(phase="select", bucket=work.bucket))
    return int(read_json(folder / CARD)["epochs"])


def _settings(work: Work, phase: PhaseName) -> Settings | None:
    """What the first phase settled where the configuration leaves it open; None lets validation."""
    if phase == "select":
        return None
    card = read_json(work.read(TRAINED.format(phase="select", bucket=work.bucket)) / CARD)
    return settled(card)


def settled(card: Mapping[str, Any]) -> Settings | None:
    """The settings that a training's card holds; one of before has none."""
    return Settings(**card["settings"]) if "settings" in card else None
