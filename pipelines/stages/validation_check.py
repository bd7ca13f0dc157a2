"""Before anything is trained: is validation large enough to choose on, and like the test?

What differs in kind is told, with the keys that would mend it; no choice changes by itself.
"""

from collections.abc import Iterator
from typing import NamedTuple

from pipelines.runner import Work
from recsys.core.config import Task
from recsys.core.errors import DataError
from recsys.logs.split_comparison import has_enough_rows, total_excess
from recsys.phases.split_check import SplitCheck

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


def tell_few_validated(work: Work, check: SplitCheck) -> list[str]:
    """A warning where validation can decide nothing; none where nobody asked for validation."""
    warm = check.warm_users("select")
    if warm >= FEW_VALIDATED or not work.config.split.validation_share:
        return []
    template = FEW_VALIDATION_USERS if warm else NO_VALIDATION_USERS
    warning = template.format(warm=warm)
    work.progress.say(f"warning: {warning}", warning="few warm validation users")
    return [warning]


def tell_differences(work: Work, check: SplitCheck) -> list[str]:
    """A warning where validation and test differ in kind, with the keys that would mend it."""
    sentences = [measure.sentence for measure in check.measures if measure.differs]
    if not sentences:
        return []
    warning = (
        f"validation and test differ in kind ({'; '.join(sentences)}): "
        f"what is chosen on validation may not hold in the test. {_remedy(check)}"
    )
    work.progress.say(f"warning: {warning}", warning="validation unlike the test")
    return [warning]


def _remedy(check: SplitCheck) -> str:
    """The setting under which the two are most alike, or that there is none."""
    now = _Setting(check.config.evaluate.task, check.config.split.validation_method)
    best, least = now, total_excess(check.measures) - _WORTH_A_KEY
    for setting in _others(check, now):
        excess = _excess_under(check, setting)
        if excess is not None and excess < least:
            best, least = setting, excess
    keys = []
    if best.task != now.task:
        keys.append(f'evaluate.task = "{best.task}"')
    if best.method != now.method:
        keys.append(f'split.validation_method = "{best.method}"')
    if keys:
        return f"Set {' and '.join(keys)}: they are more alike then"
    if check.document["validation_method"] == "given":
        return "Leave data.validation out, and it is carved from data.train"
    return "No setting of the split makes them more alike: read choices with care"


def _others(check: SplitCheck, now: _Setting) -> Iterator[_Setting]:
    """Other ways to hold out validation alone, those of fewest changes first."""
    document = check.document
    is_carved = document["method"] == "given" and document["validation_method"] != "given"
    methods = [now.method]
    if is_carved:
        methods += [method for method in _CARVED if method != document["validation_method"]]
    tasks = [now.task]
    if len(check.log.behaviors) > 1:
        tasks += [task for task in _TASKS if task != now.task]
    for method in methods:
        for task in tasks:
            setting = _Setting(task, method)
            if setting != now:
                yield setting


def _excess_under(check: SplitCheck, setting: _Setting) -> float | None:
    """How much the two would differ; None where a split cannot be made so, or has too few rows."""
    config = check.config.split.model_copy(update={"validation_method": setting.method})
    try:
        measures = check.under(config, setting.task).measures
    except DataError:
        return None
    if not measures or not has_enough_rows(measures):
        return None
    return total_excess(measures)
