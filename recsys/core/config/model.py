"""What the model is."""

from typing import Literal, Self

from pydantic import Field, model_validator

from recsys.core.config.section import Section
from recsys.core.errors import ConfigError


class ModelConfig(Section):
    """What the model is."""

    family: Literal["degree_prior", "history", "gat", "gatv2"] = "history"
    """history makes users of what they did, by attention over it, and needs no row of theirs;
    degree_prior has a row for every user and contains LightGCN; gat (Velickovic 2018) and gatv2
    (Brody 2022) are the textbook layers.
    """
    width: int = Field(64, ge=2)
    """Embedding width. 64 is what published tables compare."""
    layers: int = Field(2, ge=1)
    """Message-passing steps; each reaches one hop further."""
    heads: int = Field(4, ge=1)
    """Disjoint slices of the width that attend apart; must divide the width."""
    attention: bool = True
    """false: states of neighbours do not matter for their weight. degree_prior is then weighted
    LightGCN (γ = 0).
    """
    learn_exponents: bool = True
    """Learn the degree exponents a and b per relation and layer; false keeps both at `exponent`."""
    exponent: float = 0.5
    """Where both degree exponents start; ½ is the symmetric normalisation of LightGCN (He et al.
    2020).
    """
    learn_weight_power: bool = False
    """Attention learns a power c of the edge weights per relation and layer: where these halve in
    half_life_days, they halve for it in half_life_days / c. degree_prior only.
    """
    similarity: Literal["cosine", "dot"] = "cosine"
    """Score of a user and an item."""
    popularity: float = Field(0.05, ge=0)
    """cosine: trained item vectors get the length degree^popularity, so that of two items with equal
    cosine the more popular one comes first. 0 leaves all of length 1.
    """
    start: Literal["svd", "random"] = "svd"
    """Layer-0 states of users and items: truncated SVD of the normalised train matrix, or normal
    draws.
    """
    start_length: float = Field(0.3, gt=0)
    """Root mean square length of a node's layer-0 state at the start; the shorter, the faster Adam
    turns it.
    """
    bases: int | None = Field(None, ge=1)
    """degree_prior: added relations combine this many sets of degree exponents and γ instead of
    learning their own (Schlichtkrull et al. 2018); for graphs with many relations, a few.
    """
    attention_dropout: float = Field(0.0, ge=0, lt=1)
    """Share of attention weights dropped in training."""
    history: int = Field(50, ge=1)
    """history: neighbours that a user is made of, per relation. The latest ones where the log has an
    order, in training and in serving; else drawn in training, and all of them in serving.
    """
    user_layers: int = Field(2, ge=1)
    """history: attention steps over a user's neighbours. The first asks them by a query that all
    users share, every further one by what the one before found.
    """
    pooling: Literal["attention", "mean"] = "attention"
    """history: mean counts all neighbours of a relation alike, by the weights of their edges, and
    sees a set; attention is compared with it.
    """
    recency: bool | None = None
    """history: learn how an event's weight falls with the number of later ones, and with the time
    to the latest. false sees a set. Absent: true where what is held out comes later than what is
    learned from; pairs held out at random are asked of a set.
    """
    causal_block: bool = False
    """history, for logs with an order: from the second user layer on the latest event asks, too, and
    a feed-forward step makes more of both: one block of SASRec. Pays where what comes next follows
    from the last event; `recsys tune` tries it.
    """
    user_table: bool = False
    """history: users have a state of their own beside what they did; `train.user_dropout` keeps it
    from becoming necessary.
    """

    @property
    def reads_order(self) -> bool:
        """history: whether users are sequences of events, where the log has an order."""
        return self.recency is not False and self.pooling == "attention"

    @model_validator(mode="after")
    def _numbers_fit_together(self) -> Self:
        if self.width % self.heads:
            raise ConfigError(
                f"model.width = {self.width} is not a multiple of model.heads = {self.heads}",
                "Choose heads that divide the width",
            )
        if self.bases is not None and self.family != "degree_prior":
            raise ConfigError(
                f"model.bases = {self.bases} with model.family = {self.family!r}: only degree_prior has bases",
                'Leave model.bases out, or set model.family = "degree_prior"',
            )
        if self.learn_weight_power and self.family != "degree_prior":
            raise ConfigError(
                f"model.learn_weight_power with model.family = {self.family!r}: only degree_prior learns a power of edge weights",
                'Leave model.learn_weight_power out, or set model.family = "degree_prior"',
            )
        if self.pooling != "attention" and self.family != "history":
            raise ConfigError(
                f"model.pooling = {self.pooling!r} with model.family = {self.family!r}: only the family history pools",
                'Leave model.pooling out, or set model.family = "history"',
            )
        if self.causal_block and not (self.family == "history" and self.reads_order):
            raise ConfigError(
                f"model.causal_block with model.family = {self.family!r}, recency = {self.recency} and "
                f"pooling = {self.pooling!r}: a block needs histories in order",
                'Leave model.causal_block out, or set family = "history", recency = true and pooling = "attention"',
            )
        if self.user_table and self.family != "history":
            raise ConfigError(
                f"model.user_table with model.family = {self.family!r}: its users have states of their own",
                'Leave model.user_table out, or set model.family = "history"',
            )
        return self
