"""Baselines: tuned on validation, refitted on train and validation, and ranked on the test once."""

from pipelines.phases_on_disk import load_phase
from pipelines.places import VALIDATION
from pipelines.runner import Facts, Work
from pipelines.stages.scores import Scored
from recsys.baselines.catalogue import Baseline, Params, baseline, choose, skip_reason
from recsys.core.arrays import Int32Array
from recsys.core.machine import free_memory_bytes
from recsys.phases.phase import Phase


def tune(work: Work) -> Facts:
    """Choose the setting of one baseline on validation; too dear a baseline is skipped and named."""
    data = load_phase(work.folder.path, work.config, "select")
    model = baseline(work.bucket)
    minutes = work.config.evaluate.baseline_minutes
    reason = skip_reason(model, data.interactions, minutes, free_memory_bytes())
    if reason:
        work.progress.say(f"{model.title} skipped: {reason}", baseline=model.name, skipped=reason)
        return _save(work, Scored(model.name, model.title, skipped=reason))
    if not len(data.judge.held_out_users):
        return _save(work, Scored(model.name, model.title, model.grid[0]))
    choice = choose(model, data.interactions, data.target, data.judge.ndcg, work.config.seed)
    tried = [[params, value] for params, value in choice.tried]
    scored = Scored(
        model.name,
        model.title,
        choice.params,
        facts={"value": choice.value, "tried": tried},
        ranked=_lists(model, data, choice.params),
    )
    return _save(work, scored)


def score_test(work: Work) -> Facts:
    """Refit one baseline on train and validation with the chosen setting and rank the test users."""
    chosen = Scored.load(work.read(VALIDATION.format(bucket=work.bucket)))
    if chosen.skipped:
        return _save(work, chosen)
    data = load_phase(work.folder.path, work.config, "final")
    lists = _lists(baseline(work.bucket), data, chosen.params)
    return _save(work, Scored(chosen.name, chosen.title, chosen.params, ranked=lists))


def _lists(model: Baseline, data: Phase, params: Params) -> Int32Array:
    """(held-out users, k) the lists of a baseline fitted on the rows of a phase."""
    scorer = model.fit(data.interactions, data.target, params, data.config.seed)
    k = max(data.config.evaluate.ks)
    return data.judge.ranked(scorer, k)


def _save(work: Work, scored: Scored) -> Facts:
    scored.save(work.out)
    return Facts(figures={"params": scored.params, "skipped": scored.skipped})
