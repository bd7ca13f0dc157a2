"""Baselines: tuned on validation, refitted on train and validation, and ranked on the test once."""

from pipelines.phases_on_disk import load_phase
from pipelines.places import VALIDATION
from pipelines.runner import Facts, Work
from pipelines.stages.lists import lists
from pipelines.stages.scores import Scored
from recsys.baselines.catalogue import Baseline, baseline, choose, skip_reason, tuning_cost
from recsys.core.arrays import Int32Array
from recsys.core.machine import planned_memory_bytes
from recsys.core.ranking import Scorer
from recsys.phases.phase import Phase

_WORTH_A_LINE = 0.1  # minutes


def tune(work: Work) -> Facts:
    """Choose the setting of one baseline on validation; too dear a baseline is skipped and named."""
    data = load_phase(work.folder.path, work.config, "select")
    model = baseline(work.bucket).with_fewer_settings(work.config.evaluate.baseline_settings)
    minutes = work.config.evaluate.baseline_minutes
    # By what the machine has rather than what is free now: the same run skips the same baselines.
    reason = skip_reason(model, data.interactions, minutes, planned_memory_bytes())
    if reason:
        work.progress.say(f"{model.title} skipped: {reason}", baseline=model.name, skipped=reason)
        return _save(work, Scored(model.name, model.title, skipped=reason))
    # Nobody to choose by: the first setting stands.
    if not len(data.judge.held_out_users):
        return _save(work, Scored(model.name, model.title, model.grid[0]))
    _say_cost(work, model, data)
    choice = choose(model, data.interactions, data.target, data.judge.ndcg, work.config.seed)
    tried = [[params, value] for params, value in choice.tried]
    scored = Scored(
        model.name,
        model.title,
        choice.params,
        facts={"value": choice.value, "tried": tried},
        ranked=_lists(choice.scorer, data),
    )
    return _save(work, scored)


def _say_cost(work: Work, model: Baseline, data: Phase) -> None:
    """Tell what tuning will cost, where it is worth a line."""
    minutes = tuning_cost(model, data.interactions).seconds / 60
    if minutes >= _WORTH_A_LINE:
        message = f"{model.title}: forecast to take up to {minutes:.1f} min"
        work.progress.say(message, baseline=model.name, minutes=round(minutes, 1))


def score_test(work: Work) -> Facts:
    """Refit one baseline on train and validation with the chosen setting and rank the test users."""
    chosen = Scored.load(work.read(VALIDATION.format(bucket=work.bucket)))
    if chosen.skipped:
        return _save(work, chosen)
    data = load_phase(work.folder.path, work.config, "final")
    # `refitted` is named rather than called: lists may be made from buckets, by other processes.
    ranked = lists(work, data, refitted)
    return _save(work, Scored(chosen.name, chosen.title, chosen.params, ranked=ranked))


def refitted(work: Work, data: Phase) -> Scorer:
    """The baseline of the bucket with the setting that validation chose."""
    chosen = Scored.load(work.read(VALIDATION.format(bucket=work.bucket)))
    model = baseline(work.bucket)
    return model.fit(data.interactions, data.target, chosen.params, data.config.seed)


def _lists(scorer: Scorer, data: Phase) -> Int32Array:
    """(held-out users, k) the lists of a scorer fitted on the rows of a phase."""
    return data.judge.ranked(scorer, max(data.config.evaluate.ks))


def _save(work: Work, scored: Scored) -> Facts:
    scored.save(work.out)
    return Facts(figures={"params": scored.params, "skipped": scored.skipped})
