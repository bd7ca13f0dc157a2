"""Before anything is trained: is validation large enough to choose on, and like the test?

What differs in kind is told, with the keys that would mend it; no choice changes by itself.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pipelines.runner import Work
from recsys.core.config import Task
from recsys.core.errors import DataError
from recsys.logs.split import split_log
from recsys.logs.split_comparison import Measure, compare, has_enough_rows, total_excess
from recsys.phases.phase import Phase

FEW_VALIDATED = 30
"""Validation users: of fewer, the mean of a metric is little more than chance."""
FEW_VALIDATION_USERS = (
    "only {warm} validation users are warm (known from train): what is chosen on them is little more "
    "than chance. Hold out more (split.validation_share)"
)
NO_VALIDATION_USERS = (
    "no validation user is warm (known from train): nothing can be chosen, and all settings stay as "
    "they are. Hold out another share (split.validation_share)"
)
_CARVED = ("global_time", "last_share", "leave_last", "random")
_TASKS: tuple[Task, ...] = ("any", "new")
_WORTH_A_KEY = 0.5
"""Thresholds by which a key must bring validation nearer to the test to be named."""


class _Setting(NamedTuple):
    """How validation could be held out.

    task: evaluate.task.
    method: split.validation_method.
    """

    task: Task
    method: str


def compare_parts(select: Phase) -> list[Measure]:
    """How validation and test compare, under the configuration of the run."""
    task = select.config.evaluate.task
    return compare(select.required_splits, select.target, task, select.log)


def tell_few_validated(work: Work, select: Phase) -> list[str]:
    """A warning where validation can decide nothing; none where nobody asked for validation."""
    warm = len(select.judge.held_out_users)
    if warm >= FEW_VALIDATED or not work.config.split.validation_share:
        return []
    template = FEW_VALIDATION_USERS if warm else NO_VALIDATION_USERS
    warning = template.format(warm=warm)
    work.progress.say(f"warning: {warning}", warning="few warm validation users")
    return [warning]


def tell_differences(work: Work, select: Phase, measures: Sequence[Measure]) -> list[str]:
    """A warning where validation and test differ in kind, with the keys that would mend it."""
    sentences = [measure.sentence for measure in measures if measure.differs]
    if not sentences:
        return []
    warning = (
        f"validation and test differ in kind ({'; '.join(sentences)}): "
        f"what is chosen on validation may not hold in the test. {_remedy(select, measures)}"
    )
    work.progress.say(f"warning: {warning}", warning="validation unlike the test")
    return [warning]


def _remedy(select: Phase, measures: Sequence[Measure]) -> str:
    """The setting under which the two are most alike, or that there is none."""
    now = _Setting(select.config.evaluate.task, select.config.split.validation_method)
    best, least = now, total_excess(measures) - _WORTH_A_KEY
    for setting in _others(select, now):
        excess = _excess_under(select, setting)
        if excess is not None and excess < least:
            best, least = setting, excess
    keys = []
    if best.task != now.task:
        keys.append(f'evaluate.task = "{best.task}"')
    if best.method != now.method:
        keys.append(f'split.validation_method = "{best.method}"')
    if keys:
        return f"Set {' and '.join(keys)}: they are more alike then"
    if select.required_splits.validation_method == "given":
        return "Leave data.validation out, and it is carved from data.train"
    return "No setting of the split makes them more alike: read choices with care"


def _others(select: Phase, now: _Setting) -> Iterator[_Setting]:
    """Other ways to hold out validation alone, those of fewest changes first."""
    splits = select.required_splits
    is_carved = splits.method == "given" and splits.validation_method != "given"
    methods = [now.method]
    if is_carved:
        methods += [method for method in _CARVED if method != splits.validation_method]
    tasks = [now.task]
    if len(select.log.behaviors) > 1:
        tasks += [task for task in _TASKS if task != now.task]
    for method in methods:
        for task in tasks:
            setting = _Setting(task, method)
            if setting != now:
                yield setting


def _excess_under(select: Phase, setting: _Setting) -> float | None:
    """How much the two would differ; None where a split cannot be made so, or has too few rows."""
    config = select.config.split.model_copy(update={"validation_method": setting.method})
    try:
        splits = split_log(select.log, config, select.target, select.config.seed, setting.task)
    except DataError:
        return None
    measures = compare(splits, select.target, setting.task, select.log)
    if not measures or not has_enough_rows(measures):
        return None
    return total_excess(measures)
