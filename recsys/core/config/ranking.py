"""How lists are made and judged: blend, index, report."""

from typing import Literal

from pydantic import Field, PositiveInt

from recsys.core.config.section import Section


class EvaluateConfig(Section):
    """What the report shows."""

    ks: list[PositiveInt] = Field([10, 20], min_length=1)
    """List lengths; the first is the one that decides."""
    baselines: list[str] = Field(
        ["popularity", "popularity_recent", "itemknn", "ease", "gfcf", "ials", "lightgcn"]
    )
    """Recommenders fitted, tuned and judged beside the model."""
    bootstrap: int = Field(10_000, ge=100)
    """Draws of the paired bootstrap over users."""
    seen_behaviors: list[str] | None = None
    """Behaviours that hide an item from its user; the target behaviour when absent."""
    baseline_minutes: float = Field(20, gt=0)
    """A baseline forecast to take longer is skipped and named."""
    ablate_relations: bool = False
    """Train the model again without each added relation, for as many epochs, and report what the
    relation is worth.
    """


class BlendConfig(Section):
    """What a user's history adds to the trained vectors: a sparse table of which items follow from
    which, and a low-pass of the log, both in closed form from the phase's own rows; and what shape
    the vectors take. How much is chosen on validation; nothing, where nothing helps.
    """

    recency: bool = True
    """In logs with times, let late events count more in the vectors of users, and their own states
    less.
    """
    lengths: bool = True
    """Let item vectors be longer or shorter than training left them, by their trained length and by
    their popularity. Cosine only: of an inner product lengths are learnt.
    """
    neighbours: int = Field(200, ge=0)
    """Items that may speak for one item in the table; 0 leaves the table out."""
    low_pass_rank: int = Field(512, ge=0)
    """Singular vectors of the low-pass, at most; 0 leaves it out, and spares a truncated SVD of the
    log.
    """
    met: bool = True
    """Let items gain that their user met under other behaviours than the target (viewed, not
    bought), by how often that leads to the target, and let such items speak in histories.
    Behaviours of weight 0 and negative ones do not count; items that are hidden gain nothing.
    Nothing in a log of one behaviour.
    """
    trend: bool = True
    """Where what is held out comes later, let items gain in everybody's lists by how much they were
    taken of late, the item–item table speak for fresh items, and visitors of whom nothing is known
    get what is popular of late: each as far as validation says so.
    """


class IndexConfig(Section):
    """How top-k is looked up."""

    kind: Literal["auto", "exact", "hnsw", "ivf", "pq"] = "auto"
    """auto: exact search unless it misses `latency_ms`."""
    target_recall: float = Field(0.99, gt=0, le=1)
    """Recall@k against exact search whose 95 % lower bound an approximate index must reach."""
    k: int = Field(20, ge=1)
    """List length for which recall and latency are measured."""
    latency_ms: float = Field(10.0, gt=0)
    """Budget of one lookup at p95, one thread."""
    cold_items: bool = False
    """Serve rows of the item table that nobody took, too: what they are (graph.attributes,
    graph.relations) gives them vectors, and those of which nothing is known stay away.
    """
    segment: str | None = None
    """Column of the user table: visitors of whom no more than its value is known get what users of
    that value took.
    """
