"""How a training goes."""

from typing import Literal, Self

from pydantic import Field, PositiveInt, model_validator

from recsys.core.config.section import Section
from recsys.core.errors import ConfigError


class TrainConfig(Section):
    """How this run goes."""

    mode: Literal["auto", "full", "sampled"] = "auto"
    """Full graph every step, or neighbour-sampled mini-batches; auto by the forecast of memory and
    time. The family history knows neither: its steps draw histories.
    """
    epochs: int | None = Field(None, ge=0)
    """Passes over the positive pairs, at most; early stopping usually ends sooner. Absent: as many as
    a thousand steps make, between 3 and 20.
    """
    factor_epochs: int = Field(0, ge=0)
    """Passes that first train the states of users and items by themselves, as matrix factors under
    the same loss, in place of `model.start`; each costs a fifth of an epoch. 0 leaves them out.
    """
    prior_epochs: int = Field(0, ge=0)
    """degree_prior: epochs that train with γ at 0 before attention opens: the degree prior alone
    speaks in them, and a layer costs a fraction. 0 opens it at once.
    """
    batch_size: int | None = Field(None, ge=1)
    """Positive pairs a step; a fiftieth of them all, between 1024 and 4096, when absent."""
    loss: str = "softmax"
    """softmax: sampled softmax over cosine scores; bpr (Rendle et al. 2009); or one that was added."""
    temperature: float | None = Field(None, gt=0)
    """Divides the scores in the softmax; smaller looks harder at the strongest negatives. Absent:
    0.1, or what a probe on validation prefers (history).
    """
    positive_ratio: float = Field(1.0, gt=0)
    """softmax: the score of the pair itself is divided by this many times `temperature` (BSL, Wu et
    al. 2024). Above 1, noisy pairs pull less; published ratios lie between 0.8 and 1.3, and far
    above 1 the training falls apart.
    """
    negatives: int = Field(2048, ge=0)
    """Drawn negatives, shared by `share_size` pairs (bpr: one a pair)."""
    negative_sampling: Literal["uniform", "popularity", "mixed"] = "uniform"
    """How they are drawn: every item alike, in proportion to degree^negative_power, or half and
    half.
    """
    negative_power: float = Field(0.75, ge=0)
    """popularity, mixed: 1 draws items in proportion to their degree, 0 all that have one alike."""
    hard_negatives: int = Field(0, ge=0)
    """softmax: only the candidates that a pair scores highest count, this many (dynamic negative
    sampling, Zhang et al. 2013); 0 lets all count.
    """
    share_size: int = Field(2048, ge=1)
    """Pairs of a batch that compete against the same candidates: in-batch negatives come from
    these.
    """
    top_k: int | None = Field(None, ge=0)
    """softmax: a pair counts more the further its score lies above that of the user's K-th best item
    (SL@K, Yang et al. 2025): lists are short, and pairs far below their end pull in vain. 0 lets all
    count alike. Absent: 0, or `metric_k` where a probe on validation prefers that (history).
    """
    top_k_temperature: float = Field(1.0, gt=0)
    """top_k: divides that distance, which is counted in temperatures; smaller cuts harder."""
    neighbour_positives: int = Field(0, ge=0)
    """Users are drawn to items like their own too: to one of this many of highest cosine over their
    users (after NESCL, Sun et al. 2023). 0 turns it off.
    """
    neighbour_share: float = Field(0.3, gt=0, le=1)
    """neighbour_positives: such pairs, as a share of the known ones."""
    in_batch: bool = False
    """The other positives of the batch are negatives too; known positives are masked."""
    log_q: bool = False
    """Correct candidates for how often they are drawn (Yi et al. 2019)."""
    lr: float = Field(5e-3, gt=0)
    """Learning rate of the layer-0 tables (Adam); falls along half a cosine to a tenth over
    `epochs`.
    """
    shared_lr: float = Field(5e-3, gt=0)
    """Learning rate of the few numbers all nodes share: γ, degree exponents, gates, layer weights."""
    ema: float = Field(0.0, ge=0, lt=1)
    """Decay a step of the moving average of the weights that is validated and kept in their place;
    0 keeps the weights of the last step. 0.99 looks back over about a hundred steps.
    """
    l2: float = Field(1e-6, ge=0)
    """Penalty on the squared layer-0 states of a batch, as a mean per pair."""
    fanouts: list[PositiveInt] = Field([20, 10], min_length=1)
    """sampled: neighbours drawn per relation, seeds' layer first; the last one repeats for further
    layers.
    """
    time_respecting: bool = False
    """sampled: a step takes pairs of one stretch of time, in which users and items know only what
    came before it. Needs times; relations without times are known throughout.
    """
    sampler: Literal["csr", "dgl"] = "csr"
    """sampled: who draws the neighbours, our own drawing from the edge lists or DGL from its
    heterograph (Python 3.11 alone). Same kind of draws; our own is faster, runs on any Python and
    does not depend on the number of threads.
    """
    user_dropout: float = Field(0.1, ge=0, lt=1)
    """Share of users a step whose layer-0 state is replaced by the learned visitor state, so that
    fold-in works.
    """
    horizon: int | None = Field(None, ge=1)
    """history, for logs with an order: a pair is one of the next this many events of its user. 1
    learns what comes next; more learns what comes in a while, too. Absent: 1, or what a probe on
    validation prefers.
    """
    edge_dropout: float = Field(0.0, ge=0, lt=1)
    """Share of the edges dropped in a step; degrees are kept, the others count 1/(1 −
    share) (SGL, LightGCN).
    """
    contrast_weight: float = Field(0.0, ge=0)
    """Weight of a contrast between the first layer's states and the final vectors under noise
    (XSimGCL, Yu et al. 2023).
    """
    contrast_noise: float = Field(0.1, ge=0)
    """Length of the noise on every layer's output, as a share of the state's length; only with
    contrast_weight.
    """
    contrast_temperature: float = Field(0.2, gt=0)
    """Divides the cosines of the contrast."""
    validate_every: int = Field(1, ge=1)
    """Epochs between validations."""
    patience: int = Field(5, ge=1)
    """Validations without a better NDCG before training stops."""
    metric_k: int = Field(10, ge=1)
    """Early stopping looks at validation NDCG@k, of at most 30,000 users."""
    max_minutes: float | None = Field(None, gt=0)
    """Stop at the first epoch that ends after this long; the best epoch so far is kept."""
    checkpoint_every: int = Field(1, ge=1)
    """Epochs between checkpoints."""
    refit_share: float = Field(1.0, gt=0, le=1)
    """Share of the chosen epochs, the last ones, that the training on the whole log goes through; for
    the others it takes the states of the model that was tested. 1 starts anew; warm_start goes before it.
    """
    warm_start: str | None = None
    """Run folder whose vectors start this training; users and items it does not know start fresh."""
    device: str = "auto"
    """auto: a GPU when torch sees one, else the CPU."""
    precision: Literal["float32", "bf16"] = "float32"
    """bf16: autocast, on a GPU only."""
    shard_tables: bool = False
    """Processes that train together (`group.workers`) each hold a part of the layer-0 rows, of their
    optimiser state and of checkpoints, and ask one another for the rest. For tables that are large
    beside a step.
    """
    max_memory_gb: float | None = Field(None, gt=0)
    """Refuse to start when the forecast is above it; the machine's free memory when absent."""

    @property
    def most_epochs(self) -> int:
        """The epochs, or the most of those that a log may settle where they were left open."""
        return 20 if self.epochs is None else self.epochs

    def refit_epochs(self, chosen: int) -> int:
        """How many of the chosen epochs the training on the whole log goes through (`refit_share`)."""
        return min(chosen, max(1, round(self.refit_share * chosen)))

    @property
    def softmax_temperature(self) -> float:
        """The temperature, or what stands in for one that was left open."""
        return 0.1 if self.temperature is None else self.temperature

    @model_validator(mode="after")
    def _time_needs_samples(self) -> Self:
        if self.time_respecting and (self.mode == "full" or self.sampler == "dgl"):
            raise ConfigError(
                f"train.time_respecting with train.mode = {self.mode!r} and train.sampler = {self.sampler!r}",
                'Only mode "sampled" (or "auto") with sampler "csr" can leave out what comes later',
            )
        return self
