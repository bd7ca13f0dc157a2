"""The run configuration: one TOML file, every key typed, documented and defaulted; unknown keys are errors."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, field_validator, model_validator

from recsys.core.errors import ConfigError, nearest


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class DataConfig(_Section):
    """Where the log is and what its columns are called. A column left out is used under its standard name if present."""

    log: str | list[str] | None = None
    """File, folder, glob or cloud URL of the interactions; CSV/TSV (.gz, .zst too), Parquet or JSONL."""
    train: str | None = None
    """Published split: the train file. With `test` it replaces `log` (split.method "given")."""
    validation: str | None = None
    """Published split: the validation file; carved from train when absent."""
    test: str | None = None
    """Published split: the test file."""
    items: str | None = None
    """Table of items: item id, title and attribute columns."""
    users: str | None = None
    """Table of users: user id and attribute columns."""
    availability: str | None = None
    """Table of item ids and a true/false column `available`, or ids of withdrawn items alone."""
    user_col: str = "user_id"
    """Column of the user id, in the log and the user table."""
    item_col: str = "item_id"
    """Column of the item id, in the log, the item table and the availability file."""
    time_col: str | None = None
    """Column of the moment; "timestamp" is used when present."""
    behavior_col: str | None = None
    """Column of the behaviour (view, cart, buy …); "behavior" is used when present."""
    weight_col: str | None = None
    """Column that says how much an event counts; "weight" is used when present."""
    rating_col: str | None = None
    """Column that `clean.min_rating` looks at; "rating" is used when present."""
    title_col: str = "title"
    """Column of the item table that people read."""
    separator: str | None = None
    """Field separator of a text log; told from the file name when absent (tab for .tsv)."""
    columns: list[str] | None = None
    """Names of the columns of a text log that has no header line."""
    time_unit: Literal["auto", "s", "ms", "iso"] = "auto"
    """Unix seconds, milliseconds or ISO text (naive means UTC); auto decides from the values and refuses a mixture."""
    broken_lines: Literal["refuse", "count"] = "refuse"
    """What a text line with the wrong number of fields does: stop the run, or be dropped and counted."""


class CleanConfig(_Section):
    """Which rows stay. Every dropped row is counted under its reason."""

    min_rating: float | None = None
    """Keep rows with at least this rating; rows without a rating are dropped under their own reason."""
    duplicates: Literal["first", "last", "sum"] = "first"
    """Rows with the same user, item and behaviour become one: the earliest, the latest, or the earliest with summed weight."""
    min_user_interactions: int = Field(1, ge=1)
    """k-core over users, iterated with the items' until nothing changes."""
    min_item_interactions: int = Field(1, ge=1)
    """k-core over items."""
    max_user_interactions: int | None = Field(None, ge=1)
    """Activity cap: only a user's latest this many rows stay (crawlers and shared accounts)."""
    start: str | int | None = None
    """First moment kept: unix seconds or ISO text."""
    end: str | int | None = None
    """First moment no longer kept."""
    max_time: int = 4_102_444_800
    """Timestamps above it (2100-01-01 by default) or below zero are dropped as impossible."""


class SplitConfig(_Section):
    """How rows are held out."""

    method: Literal["auto", "global_time", "rolling_time", "leave_last", "last_share", "random", "given"] = "auto"
    """auto: one global time cut when every row has a time, else random per user."""
    test_share: float = Field(0.1, gt=0, lt=1)
    """Share of rows (global_time, rolling_time: latest rows; last_share, random: of each user) held out for the test."""
    validation_share: float = Field(0.1, ge=0, lt=1)
    """Share of the remaining train rows carved out for validation, by the same method (given: random per user without time)."""
    last: int = Field(1, ge=1)
    """leave_last: how many of each user's latest rows go to test, and as many before them to validation."""
    folds: int = Field(3, ge=1)
    """rolling_time: number of folds; each tests on the window after its cut."""
    fold: int = Field(-1)
    """rolling_time: which fold a run uses; −1 is the latest."""
    min_warm_users: int = 300
    """A run warns when fewer test users are warm than this: intervals get too wide to decide anything."""


class AttributeConfig(_Section):
    """One attribute column that becomes nodes and a relation."""

    side: Literal["item", "user"] = "item"
    """Which table the column is in."""
    column: str
    """Column of the item or user table; a list column, or text with `separator`, gives several values a node."""
    separator: str | None = None
    """Splits a text column into several values."""


class NeighbourConfig(_Section):
    """Which nodes of one side are linked because they share pairs of the target behaviour; for users read the mirror image."""

    top_n: int = Field(10, ge=1)
    """Most similar items of each item; two are linked when either is among the other's."""
    measure: Literal["cosine", "jaccard", "count"] = "cosine"
    """Similarity, and weight of the edge: c_ij / (√(c_i c_j) + shrinkage) (Salton), c_ij / (c_i + c_j − c_ij + shrinkage),
    or c_ij, the users that both share."""
    shrinkage: float = Field(0.0, ge=0)
    """Holds down similarities that rest on few users; not used by count."""
    min_shared: int = Field(2, ge=1)
    """Users that two items must share. From 2 on no edge exists because of the pair to predict alone."""


class GraphConfig(_Section):
    """What becomes an edge and what it weighs."""

    target: str | None = None
    """Behaviour to predict. Required when the log has several; the only one otherwise."""
    behavior_weights: dict[str, float] = {}
    """Confidence per behaviour, a factor on edge weights; 1 when absent, 0 leaves the behaviour out."""
    use_weights: bool = False
    """Multiply edge weights by the log's weight column."""
    half_life_days: float | None = Field(None, gt=0)
    """Edge weights halve with this age, counted back from the last row of the phase; needs times."""
    attributes: list[AttributeConfig] = []
    """Columns of the item and user tables that become nodes."""
    item_neighbours: NeighbourConfig | None = None
    """Link items that share users, as an added relation whose gate starts closed; none when absent."""
    user_neighbours: NeighbourConfig | None = None
    """Link users that share items. A visitor has no such links."""


class ModelConfig(_Section):
    """What the model is."""

    family: Literal["degree_prior", "gat", "gatv2"] = "degree_prior"
    """degree_prior contains LightGCN; gat (Velickovic 2018) and gatv2 (Brody 2022) are the textbook layers."""
    width: int = Field(64, ge=2)
    """Embedding width. 64 is what published tables compare."""
    layers: int = Field(2, ge=1)
    """Message-passing steps; each reaches one hop further."""
    heads: int = Field(4, ge=1)
    """Disjoint slices of the width that attend apart; must divide the width."""
    attention: bool = True
    """false fixes γ at 0: weighted LightGCN."""
    learn_exponents: bool = True
    """Learn the degree exponents a and b per relation and layer; false keeps both at `exponent`."""
    exponent: float = 0.5
    """Where both degree exponents start; ½ is the symmetric normalisation of LightGCN (He et al. 2020)."""
    similarity: Literal["cosine", "dot"] = "cosine"
    """Score of a user and an item."""
    popularity: float = Field(0.05, ge=0)
    """cosine: trained item vectors get the length degree^popularity, so that of two items as near the one taken more
    often comes first. 0 leaves all of length 1."""
    start: Literal["svd", "random"] = "svd"
    """Layer-0 states of users and items: truncated SVD of the normalised train matrix, or normal draws."""
    start_length: float = Field(0.3, gt=0)
    """Root mean square length of a node's layer-0 state at the start; the shorter, the faster Adam turns it."""
    attention_dropout: float = Field(0.0, ge=0, lt=1)
    """Share of attention weights dropped in training."""

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> Self:
        if self.width % self.heads:
            raise ConfigError(
                f"model.width = {self.width} is not a multiple of model.heads = {self.heads}",
                "Choose heads that divide the width",
            )
        return self


class TrainConfig(_Section):
    """How this run goes."""

    mode: Literal["auto", "full", "sampled"] = "auto"
    """Full graph every step, or neighbour-sampled mini-batches; auto by the forecast of memory and time."""
    epochs: int = Field(20, ge=0)
    """Passes over the positive pairs, at most; early stopping usually ends sooner."""
    batch_size: int | None = Field(None, ge=1)
    """Positive pairs a step; a fiftieth of them all, between 1024 and 8192, when absent."""
    loss: Literal["softmax", "bpr"] = "softmax"
    """Sampled softmax over cosine scores, or BPR (Rendle et al. 2009)."""
    temperature: float = Field(0.1, gt=0)
    """Divides the scores in the softmax; smaller looks harder at the strongest negatives."""
    positive_temperature: float | None = Field(None, gt=0)
    """softmax: divides the score of the pair itself (BSL, Wu et al. 2024); `temperature` when absent. Above it, noisy
    pairs pull less; published ratios lie between 0.8 and 1.3."""
    negatives: int = Field(2048, ge=0)
    """Drawn negatives, shared by `share_size` pairs (bpr: one a pair)."""
    negative_sampling: Literal["uniform", "popularity", "mixed"] = "uniform"
    """How they are drawn: every item alike, in proportion to degree^negative_power, or half and half."""
    negative_power: float = Field(0.75, ge=0)
    """popularity, mixed: 1 draws items as often as they were taken, 0 draws those ever taken alike."""
    hard_negatives: int = Field(0, ge=0)
    """softmax: only the candidates that a pair scores highest count, this many (dynamic negative sampling, Zhang et al.
    2013); 0 lets all count."""
    share_size: int = Field(2048, ge=1)
    """Pairs of a batch that compete against the same candidates: in-batch negatives come from these."""
    neighbour_positives: int = Field(0, ge=0)
    """Users are drawn to items like their own too: to one of this many of highest cosine over their users (after NESCL,
    Sun et al. 2023). 0 turns it off."""
    neighbour_share: float = Field(0.3, gt=0, le=1)
    """neighbour_positives: such pairs, as a share of the known ones."""
    in_batch: bool = False
    """The other positives of the batch are negatives too; known positives are masked."""
    log_q: bool = False
    """Correct candidates for how often they are drawn (Yi et al. 2019)."""
    lr: float = Field(5e-3, gt=0)
    """Learning rate of the layer-0 tables (Adam); falls along half a cosine to a tenth over `epochs`."""
    shared_lr: float = Field(5e-3, gt=0)
    """Learning rate of the few numbers all nodes share: γ, degree exponents, gates, layer weights."""
    ema: float = Field(0.0, ge=0, lt=1)
    """Decay a step of the moving average of the weights that is validated and kept in their place; 0 keeps the weights
    of the last step. 0.99 looks back over about a hundred steps."""
    l2: float = Field(1e-6, ge=0)
    """Penalty on the squared layer-0 states of a batch, as a mean per pair."""
    fanouts: list[PositiveInt] = Field([20, 10], min_length=1)
    """sampled: neighbours drawn per relation, seeds' layer first; the last one repeats for further layers."""
    sampler: Literal["csr", "dgl"] = "csr"
    """sampled: who draws the neighbours, our own drawing from the edge lists or DGL from its heterograph. Same kind of
    draws; our own is faster and does not depend on the number of threads."""
    user_dropout: float = Field(0.1, ge=0, lt=1)
    """Share of users a step whose layer-0 state is replaced by the learned visitor state, so that fold-in works."""
    edge_dropout: float = Field(0.0, ge=0, lt=1)
    """Share of the edges that stay silent in a step; degrees are kept, the others count 1/(1 − share) (SGL, LightGCN)."""
    contrast_weight: float = Field(0.0, ge=0)
    """Weight of a contrast between the first layer's states and the final vectors under noise (XSimGCL, Yu et al. 2023)."""
    contrast_noise: float = Field(0.1, ge=0)
    """Length of the noise on every layer's output, as a share of the state's length; only with contrast_weight."""
    contrast_temperature: float = Field(0.2, gt=0)
    """Divides the cosines of the contrast."""
    validate_every: int = Field(1, ge=1)
    """Epochs between validations."""
    patience: int = Field(5, ge=1)
    """Validations without a better NDCG before training stops."""
    metric_k: int = Field(10, ge=1)
    """Early stopping looks at validation NDCG@k."""
    max_minutes: float | None = Field(None, gt=0)
    """Stop at the first epoch that ends after this long; the best epoch so far is kept."""
    checkpoint_every: int = Field(1, ge=1)
    """Epochs between checkpoints."""
    warm_start: str | None = None
    """Run folder whose vectors start this training; users and items it does not know start fresh."""
    device: str = "auto"
    """auto: a GPU when torch sees one, else the CPU."""
    precision: Literal["float32", "bf16"] = "float32"
    """bf16: autocast, on a GPU only."""
    max_memory_gb: float | None = Field(None, gt=0)
    """Refuse to start when the forecast is above it; the machine's free memory when absent."""


class EvaluateConfig(_Section):
    """What the report shows."""

    ks: list[PositiveInt] = Field([10, 20], min_length=1)
    """List lengths; the first is the one that decides."""
    baselines: list[str] = ["popularity", "popularity_recent", "itemknn", "ease", "gfcf", "ials", "lightgcn"]
    """Recommenders fitted, tuned and judged beside the model."""
    bootstrap: int = Field(10_000, ge=100)
    """Draws of the paired bootstrap over users."""
    seen_behaviors: list[str] | None = None
    """Behaviours that hide an item from its user; the target behaviour when absent."""
    baseline_minutes: float = Field(20, gt=0)
    """A baseline forecast to take longer is skipped and named."""


class BlendConfig(_Section):
    """What a user's history adds to the trained vectors: a sparse table of which items follow from which, and a low-pass
    of the log, both in closed form from the phase's own rows. How much is chosen on validation; nothing, where nothing
    helps."""

    neighbours: int = Field(200, ge=0)
    """Items that may speak for one item in the table; 0 leaves the table out."""
    low_pass_rank: int = Field(512, ge=0)
    """Singular vectors of the low-pass, at most; 0 leaves it out, and spares a truncated SVD of the log."""


class IndexConfig(_Section):
    """How top-k is looked up."""

    kind: Literal["auto", "exact", "hnsw", "ivf", "pq"] = "auto"
    """auto: exact search unless it misses `latency_ms`."""
    target_recall: float = Field(0.99, gt=0, le=1)
    """Recall@k against exact search whose 95 % lower bound an approximate index must reach."""
    k: int = Field(20, ge=1)
    """List length for which recall and latency are measured."""
    latency_ms: float = Field(10.0, gt=0)
    """Budget of one lookup at p95, one thread."""


class ValuesConfig(_Section):
    """What a search may try for one key: a range or choices."""

    low: int | float | None = None
    """Smallest value of a range."""
    high: int | float | None = None
    """Largest value of a range."""
    log: bool = False
    """Draw from the range evenly in logarithms."""
    choices: list[Any] | None = Field(None, min_length=1)
    """Values to choose from; "none" leaves an optional key out."""


class TuneConfig(_Section):
    """What `recsys tune` tries. It looks at validation, never at the test."""

    space: dict[str, ValuesConfig] = {}
    """Dotted key → {low, high, log} or {choices}; when empty a recipe of at most eight keys, chosen by log and model."""
    startup: int = Field(5, ge=1)
    """Trials before the search learns from earlier ones; the first is the configuration as given, the others are drawn."""
    prune: bool = True
    """Stop a trial whose best validation is below the median of the others' after as many epochs."""

    @field_validator("space", mode="before")
    @classmethod
    def _dotted(cls, space: Any) -> Any:
        return dict(_dotted_keys(space)) if isinstance(space, dict) else space

    @model_validator(mode="after")
    def _ranges_or_choices(self) -> Self:
        for key, values in self.space.items():
            _refuse_neither_or_both(key, values)
        return self


def _dotted_keys(space: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """`train.lr = {…}` without quotes is a table within a table in TOML; here it is the key "train.lr"."""
    for name, value in space.items():
        if isinstance(value, dict) and value and all(isinstance(inner, dict) for inner in value.values()):
            yield from _dotted_keys(value, f"{before}{name}.")
        else:
            yield before + name, value


def _refuse_neither_or_both(key: str, values: ValuesConfig) -> None:
    ends = (values.low, values.high)
    if (values.choices is None) == (ends == (None, None)) or (None in ends) != (ends == (None, None)):
        raise ConfigError(f"tune.space.{key} is neither a range nor choices", "Give low and high, or choices")
    if values.low is not None and values.high is not None and values.low > values.high:
        raise ConfigError(f"tune.space.{key}: low = {values.low} is above high = {values.high}", "Swap them")
    if values.log and (values.low is None or values.low <= 0):
        raise ConfigError(f"tune.space.{key}: log needs a range above 0", "Raise low, or leave log out")


class RunConfig(_Section):
    """A whole run."""

    name: str = "run"
    """Name of the run."""
    out: str | None = None
    """Run folder; runs/<name> when absent."""
    seed: int = 0
    """Every draw of a run follows from it: the same configuration gives the same figures."""
    threads: int | None = Field(None, ge=1)
    """Threads of torch, BLAS and FAISS; all cores when absent. Same weights are promised for the same number only."""
    refit: bool = True
    """Serve a model refitted on the whole log; false serves the one that was tested."""
    data: DataConfig = DataConfig()
    clean: CleanConfig = CleanConfig()
    split: SplitConfig = SplitConfig()
    graph: GraphConfig = GraphConfig()
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
    blend: BlendConfig = BlendConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    index: IndexConfig = IndexConfig()
    tune: TuneConfig = TuneConfig()


def load_config(path: Path | None = None, overrides: Sequence[str] = ()) -> RunConfig:
    """The configuration in a TOML file with `section.key=value` overrides on top.

    Raises ConfigError for an unreadable file, an unknown key (with the nearest known one) or a wrong value.
    """
    return with_overrides(_read_toml(path) if path else {}, overrides)


def with_overrides(raw: dict[str, Any], overrides: Sequence[str]) -> RunConfig:
    """A checked configuration from nested plain values, a manifest's for example, with `section.key=value` on top."""
    for override in overrides:
        _apply(raw, override)
    return build_config(raw)


def build_config(raw: dict[str, Any]) -> RunConfig:
    """A checked configuration from nested plain values. Raises ConfigError."""
    try:
        return RunConfig.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(*_explain(error)) from None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"cannot read the configuration {str(path)!r}: {error.strerror}", "Give the path of a .toml file"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        remedy = "Mend that line" if path.suffix == ".toml" else "Give a .toml file here, and a log with --log"
        raise ConfigError(f"{path} is not valid TOML: {error}", remedy) from None


def _apply(raw: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {override!r} is not key=value", "Write for example --set train.lr=0.001")
    *sections, leaf = key.strip().split(".")
    for section in sections:
        raw = raw.setdefault(section, {})
        if not isinstance(raw, dict):
            raise ConfigError(f"--set {key}: {section!r} is a value, not a section")
    raw[leaf] = _value(text.strip())


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _explain(error: ValidationError) -> tuple[str, str]:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = _keys_beside(first["loc"])
        hint = nearest(str(first["loc"][-1]), known, count=1)
        return f"unknown configuration key {where!r}", hint or f"Known keys there: {', '.join(sorted(known))}"
    return (
        f"{where} = {first['input']!r}: {first['msg']}",
        "See docs/configuration.md for its meaning and range",
    )


def _keys_beside(location: tuple[int | str, ...]) -> list[str]:
    section: type[BaseModel] = RunConfig
    for part in location[:-1]:
        field = section.model_fields.get(str(part))
        section = _section_in(field.annotation) or section if field else section
    return list(section.model_fields)


def _section_in(annotation: Any) -> type[BaseModel] | None:
    """The section that a field is, or is a list or table of."""
    found = [one for one in (annotation, *get_args(annotation)) if isinstance(one, type) and issubclass(one, BaseModel)]
    return found[0] if found else None
