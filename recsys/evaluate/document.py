"""The report as a document: what `report.json` holds and the page shows."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from recsys.core.artefacts import atomic_file
from recsys.core.errors import DataError


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class RunFacts(_Part):
    """What was run, on what."""

    name: str = "run"
    data: str = ""
    """What the log is, in words or as its path."""
    target: str = ""
    """Behaviour that is predicted."""
    split: str = ""
    """Method of the split."""
    validation_method: str = ""
    """How validation was held out, where that is not the method of the split."""
    task: Literal["any", "new"] = "any"
    """evaluate.task: whether items met under another behaviour may be the answer."""
    time_safe: bool = False
    """Whether every train row is older than every held-out row."""
    cuts: dict[str, int] = {}
    """Unix seconds of the time cuts, by name."""
    rows: dict[str, int] = {}
    """Interactions by part: train, validation, test."""
    users: int = 0
    items: int = 0
    warm_users: int = 0
    """Test users that are known from train: those averaged over."""
    drops: dict[str, int] = {}
    """Rows left out, by reason, from the log to the test."""
    seeds: list[int] = []
    versions: dict[str, str] = {}
    settings: dict[str, Any] = {}
    """The configuration that matters to the reader."""
    created: str = ""
    """ISO date; empty keeps the document the same for the same run."""


class Value(_Part):
    """A metric: mean over users and 95 % interval; list-level metrics have none."""

    value: float
    low: float | None = None
    high: float | None = None


class ModelRow(_Part):
    """One model's line of the table."""

    name: str
    title: str
    role: Literal["model", "ablation", "baseline"]
    params: dict[str, Any] = {}
    validation: float | None = None
    """The deciding metric on validation."""
    seconds: float | None = None
    """Fitting and ranking."""
    metrics: dict[str, Value] = {}
    skipped: str | None = None
    """Why there are no figures."""


class Comparison(_Part):
    """The main model minus one other on the same test users."""

    other: str
    metric: str
    difference: float
    low: float
    high: float
    p: float
    p_holm: float
    """Corrected for the number of models compared on this metric."""
    finding: Literal["better", "worse", "undecided"]
    """At p_holm < 0.05."""


class Verdict(_Part):
    """Which model validation chose, and whether serving the main model is defensible."""

    winner: str
    """Name of the best model on validation (on test where nothing was held out for validation)."""
    decided_on: Literal["validation", "test"]
    never_worse: bool
    """The main model won, and no other is better than it on the test at p_holm < 0.05."""
    line: str


class Places(_Part):
    """Where a model stands among all, 1 for the best."""

    model: str
    validation: int
    test: int


class Agreement(_Part):
    """How far validation and the test agree on which model is better."""

    tau: float
    """Kendall's rank correlation: 1 for the same order, −1 for the opposite."""
    pairs: int
    turned: int
    """Pairs of models that the test orders the other way round."""
    places: list[Places] = []


class ServedRow(_Part):
    """What goes live beside another way to score, on validation."""

    title: str
    value: float
    """The deciding metric of the other one."""
    difference: float
    """What goes live minus the other one, the mean over the same users."""
    error: float | None = None
    """Standard error of the difference; None where too few users differ to tell."""


class Served(_Part):
    """What goes live, as validation chose it."""

    kind: Literal["vectors", "blend", "baseline"]
    title: str
    """In words: the vectors alone, the terms beside them, or a baseline."""
    value: float
    """The deciding metric on the validation users looked at."""
    users: int
    tried: int
    """How many blends."""
    line: str
    rows: list[ServedRow] = []


class SecondStageFigures(_Part):
    """Lists with and without the second stage: NDCG on the validation users who were not fitted on, and
    the deciding metric on the test.
    """

    used: bool
    validation: float | None = None
    validation_without: float | None = None
    gain: float | None = None
    error: float | None = None
    """Standard error of the gain; None where too few users differ to tell."""
    users: int = 0
    trees: int = 0
    test: float | None = None
    """None where validation left it out."""
    test_without: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None


class SliceRow(_Part):
    """The test users or rows of one kind."""

    group: str
    label: str
    users: int
    rows: int
    values: dict[str, float] = {}
    """The deciding metric by model name; empty where nothing can be ranked."""
    hit_rates: dict[str, float] = {}
    """Share of the users with a hit in as long a list, by model name; of slices by behaviour alone."""
    small: bool = False
    """Too few users to say anything."""


class VisitorRow(_Part):
    """The deciding metric of users by their trained vector, and as visitors with their last events
    alone.
    """

    events: int
    users: int
    trained: float
    visitor: float
    difference: float
    """visitor − trained, with its paired 95 % interval."""
    low: float
    high: float


class ColdItems(_Part):
    """Items of the log that nobody took in train, ranked among themselves by vectors from what they
    are.
    """

    items: int
    placed: int
    """Those of which something is known; the others stand last."""
    users: int
    """Users of train who took one in the test."""
    rows: int
    value: float
    """The deciding metric."""
    by_chance: float
    """Its expectation under a random order."""


class ContentRow(_Part):
    """The deciding metric with texts and pictures, and with attributes alone, on the same users."""

    group: Literal["cold items", "sparse items"]
    """cold: that nobody took in train, ranked among themselves. sparse: of at most five pairs in train,
    ranked among all.
    """
    users: int
    rows: int
    value: float
    without: float
    difference: float
    """value − without, with its paired 95 % interval."""
    low: float
    high: float


class TraitRow(_Part):
    """One trait of what is held out, in validation and in the test."""

    name: str
    unit: Literal["share", "rows", "days"]
    validation: float
    """A share, or the median of numbers."""
    test: float
    rows: tuple[int, int]
    """Validation and test rows, or users, that it rests on."""
    effect: float
    """Cohen's h of shares, Cliff's delta of numbers."""
    differs: bool
    """Whether the two differ in kind."""


class RelationRow(_Part):
    """What one relation brings to the main model."""

    name: str
    mass: dict[str, float] = {}
    """By node type that receives its messages: its share of the length of all messages, averaged over nodes
    and layers.
    """
    without: float | None = None
    """The deciding metric of the model trained again without the relation, for as many epochs; None
    when not asked for.
    """
    worth: float | None = None
    """The main model minus that one, on the same users, with its paired 95 % interval."""
    low: float | None = None
    high: float | None = None


class Epoch(_Part):
    """One epoch of training."""

    epoch: int
    loss: float
    seconds: float
    value: float | None = None


class ThroughIndex(_Part):
    """The main model's metrics with exact scores, and through the index that serves them."""

    kind: str
    exact: dict[str, float]
    through: dict[str, float]

    @property
    def differences(self) -> dict[str, float]:
        return {
            name: self.through[name] - value
            for name, value in self.exact.items()
            if name in self.through
        }


class LeftOutRow(_Part):
    """A part of the run that its budget had no time for."""

    part: str
    loss: str
    """What is not known, or not done, without it."""


class StageRow(_Part):
    """What a stage of the run took, beside its forecast; processor time, and memory at the peak."""

    name: str
    forecast_seconds: float | None = None
    """At the nominal speed; None for a stage without a formula."""
    seconds: float | None = None
    """None for one that comes after the report."""
    forecast_memory_bytes: float | None = None
    memory_bytes: float | None = None
    forecast_disk_bytes: float | None = None
    disk_bytes: float | None = None


class Report(_Part):
    """One run's evaluation."""

    format: Literal[1] = 1
    headline: str
    facts: RunFacts
    main: str
    deciding: str
    """The metric that decides, as "name@k"."""
    draws: int
    """Bootstrap draws over users."""
    models: list[ModelRow]
    comparisons: list[Comparison] = []
    verdict: Verdict
    served: Served | None = None
    second_stage: SecondStageFigures | None = None
    similar_items: str = ""
    """By what items are similar, with the figures of validation; "" where nothing was judged."""
    agreement: Agreement | None = None
    slices: list[SliceRow] = []
    worst_slice: str = ""
    traits: list[TraitRow] = []
    visitors: list[VisitorRow] = []
    cold_items: ColdItems | None = None
    content: list[ContentRow] = []
    relations: list[RelationRow] = []
    index: ThroughIndex | None = None
    history: list[Epoch] = []
    budget_minutes: float | None = None
    left_out: list[LeftOutRow] = []
    stages: list[StageRow] = []
    warnings: list[str] = []
    notes: list[str] = Field(default=[])

    def row(self, name: str) -> ModelRow:
        """The line of the model called `name`. Raises DataError when there is none."""
        for row in self.models:
            if row.name == name:
                return row
        raise DataError(
            f"the report has no model {name!r}", f"It has {[row.name for row in self.models]}"
        )

    def save(self, path: Path) -> None:
        with atomic_file(path) as file:
            file.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")

    @staticmethod
    def load(path: Path) -> "Report":
        return Report.model_validate_json(path.read_text(encoding="utf-8"))
