"""Baselines: tuned on validation, refitted on train and validation, and ranked on the test once."""

from pipelines.phases_on_disk import load_phase
from pipelines.places import VALIDATION
from pipelines.runner import Facts, Work
from pipelines.stages.scores import Scored
from recsys.closed_form.catalogue import Baseline, Params, baseline, choose, skip_reason
from recsys.core.arrays import Int32Array
from recsys.core.machine import free_memory_bytes
from recsys.phases.phase import Phase


def tune(work: Work) -> Facts:
    """Choose the setting of one baseline on validation; too dear a baseline is skipped and named."""
    data = load_phase(work.folder.path, work.config, "select")
    one = baseline(work.bucket)
    if reason := skip_reason(
        one, data.interactions, work.config.evaluate.baseline_minutes, free_memory_bytes()
    ):
        work.progress.say(f"{one.title} skipped: {reason}", baseline=one.name, skipped=reason)
        return _keep(work, Scored(one.name, one.title, skipped=reason))
    if not len(data.judge.held_out_users):
        return _keep(work, Scored(one.name, one.title, one.grid[0]))
    choice = choose(one, data.interactions, data.target, data.judge.ndcg, work.config.seed)
    facts = {"value": choice.value, "tried": [[params, value] for params, value in choice.tried]}
    return _keep(
        work,
        Scored(one.name, one.title, choice.params, None, facts, _lists(one, data, choice.params)),
    )


def score_test(work: Work) -> Facts:
    """Refit one baseline on train and validation with the chosen setting and rank the test users."""
    chosen = Scored.load(work.read(VALIDATION.format(bucket=work.bucket)))
    if chosen.skipped:
        return _keep(work, chosen)
    data = load_phase(work.folder.path, work.config, "final")
    lists = _lists(baseline(work.bucket), data, chosen.params)
    return _keep(work, Scored(chosen.name, chosen.title, chosen.params, ranked=lists))


def _lists(one: Baseline, data: Phase, params: Params) -> Int32Array:
    scorer = one.fit(data.interactions, data.target, params, data.config.seed)
    return data.judge.ranked(scorer, max(data.config.evaluate.ks))


def _keep(work: Work, scored: Scored) -> Facts:
    scored.save(work.out)
    return Facts(figures={"params": scored.params, "skipped": scored.skipped})
