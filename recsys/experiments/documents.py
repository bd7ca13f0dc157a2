"""What a report of an experiment says: one document for the console, JSON, the API and the page."""

from typing import Literal, NotRequired

from typing_extensions import TypedDict

Role = Literal["control", "treatment", "holdout"]
Verdict = Literal["better", "worse", "undecided"]


class Estimate(TypedDict):
    """A rate or a difference of rates, with its interval. None where nothing is known yet."""

    value: float | None
    low: float | None
    high: float | None


class Arm(TypedDict):
    """One arm.

    bundle: None for the holdout, which gets what is popular.
    assigned: users who asked.
    users, lists: those who were shown a list, and the lists; explored ones are left out.
    rates: by name, see `recsys.experiments.rates`.
    """

    name: str
    role: Role
    bundle: str | None
    share: float
    assigned: int
    users: int
    lists: int
    rates: dict[str, Estimate]


class Look(TypedDict):
    """What was known at the end of a day, UTC: difference, confidence sequence, always-valid p."""

    date: str
    value: float
    low: float
    high: float
    p: float


class Power(TypedDict):
    """The probability that the sequential test finds a true difference of `effect` until `days` are
    over.

    planned: as seen on the first day. remaining: given what is known now; 1 once it has decided.
    needed_days: until that probability is 0.8 at the present traffic; None where that is over a year.
    """

    effect: float
    days: float
    planned: float
    remaining: float
    needed_days: float | None


class Comparison(TypedDict):
    """An arm against the control by the deciding rate.

    difference: with the interval of a single look, at 1 − alpha.
    sequential: with the interval that holds at all looks together, and p of the same.
    verdict: of the sequential test. looks: day by day.
    power: absent while too little is known.
    """

    arm: str
    control: str
    rate: str
    difference: Estimate
    sequential: Estimate
    p: float
    verdict: Verdict
    looks: list[Look]
    power: NotRequired[Power]


class Day(TypedDict):
    """One arm on one day, UTC. rates: None where no list was shown."""

    date: str
    arm: str
    users: int
    lists: int
    rates: dict[str, float | None]


class Split(TypedDict):
    """Whether users were shared out as defined: chi-square. alarm: p < 0.001, the report is not to
    be trusted then.
    """

    observed: dict[str, int]
    expected: dict[str, float]
    p: float
    alarm: bool


class OffPolicy(TypedDict):
    """What lists of a bundle that was never shown would have got: clicked items per list.

    lists, users: explored ones that it is estimated from.
    coverage: share of the bundle's places that exploration could have filled so; where it is below 1,
    ips counts the other places as never clicked, and snips as the covered ones.
    matches: places of shown lists that are as the bundle would have them.
    """

    bundle: str
    lists: int
    users: int
    coverage: float
    matches: int
    ips: Estimate
    snips: Estimate


class Excluded(TypedDict):
    """What the report leaves out.

    fallbacks: answers of the live bundle in place of an arm's that could not be loaded.
    explored: answers that were drawn for exploration, in every arm.
    unknown_answers: impressions of answers that no service of this run gave in the experiment.
    foreign: shown items that their answer did not hold, or shown to somebody else.
    clicks: events on answers without such an impression.
    """

    fallbacks: int
    explored: int
    unknown_answers: int
    foreign: int
    clicks: int


class Report(TypedDict):
    """How an experiment goes. Times: ISO, UTC. days: since it began, or until it ended.

    rate: the deciding one. effect: difference of it that is worth finding. alpha: of all comparisons
    together. notes: what a reader must know, in words.
    """

    experiment: str
    state: Literal["running", "stopped"]
    began: str
    ended: NotRequired[str]
    made: str
    days: float
    rate: str
    effect: float
    alpha: float
    explore: float
    pool: int
    arms: list[Arm]
    comparisons: list[Comparison]
    split: Split
    by_day: list[Day]
    excluded: Excluded
    notes: list[str]
    estimates: NotRequired[list[OffPolicy]]
