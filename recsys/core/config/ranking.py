"""How lists are made and judged: blend, index, report."""

from typing import Literal

from pydantic import Field, PositiveInt

from recsys.core.config.section import Section

Task = Literal["any", "new"]
"""Whether an item that its user met under another behaviour (viewed, carted) may be the answer."""


class EvaluateConfig(Section):
    """What is asked of lists, and what the report shows."""

    task: Task = "any"
    """any: an item that its user met under another behaviour (viewed, carted) may be the answer.
    new: only items that the user met under no behaviour; the others are in no list and their
    held-out pairs do not count, in validation, in the test and where lists are served.
    """
    ks: list[PositiveInt] = Field([10, 20], min_length=1)
    """List lengths; the first is the one that decides."""
    baselines: list[str] = Field(
        ["popularity", "popularity_recent", "itemknn", "slim", "ease", "gfcf", "ials", "lightgcn"]
    )
    """Recommenders fitted, tuned and judged beside the model. Not among them unless named: sasrec,
    which is dear and needs an order.
    """
    baseline_settings: int | None = Field(None, ge=1)
    """Settings tried of each baseline, at most, the usual one first; all of its grid when absent."""
    bootstrap: int = Field(10_000, ge=100)
    """Draws of the paired bootstrap over users."""
    seen_behaviors: list[str] | None = None
    """Behaviours that hide an item from its user. Absent: the target and the negative behaviours;
    all where `task` is new, which counts no held-out pair that is hidden. With `task` any such a
    pair counts as a miss.
    """
    baseline_minutes: float = Field(20, gt=0)
    """A baseline forecast to take longer is skipped and named."""
    twin_minutes: float = Field(0.25, ge=0)
    """`lightgcn` among the baselines, which is trained like the model, is left out and named where it
    is forecast to take longer (minutes of one core of the nominal machine); raise it to have it.
    """
    ablate_relations: bool = False
    """Train the model again without each added relation, for as many epochs, and report what the
    relation is worth.
    """


class BlendConfig(Section):
    """Terms of a score beside the trained vectors: item–item scores and a low-pass of the log, both
    in closed form from the phase's own rows, auxiliary behaviours and a trend; and the scaling of
    the vectors. Weights are chosen on validation; a term that does not help is left out.
    """

    recency: bool = True
    """degree_prior, in logs with times: weigh recent events more in users' vectors, and their own
    states less. The family history learns this in training.
    """
    lengths: bool = True
    """Scale item vectors by powers of their trained length and of their popularity. Cosine only: with
    an inner product lengths are learnt.
    """
    neighbours: int = Field(200, ge=0)
    """Largest number of items that add to one item's item–item score; 0 leaves the term out."""
    low_pass_rank: int = Field(512, ge=0)
    """Largest number of singular vectors of the low-pass; 0 leaves the term out, and its SVD."""
    auxiliary_behaviors: bool = True
    """Use auxiliary behaviours (viewed, not bought): such items gain by how often that leads to the
    target, and they count in histories. Behaviours of weight 0 and negative ones do not count;
    hidden items gain nothing. Without effect in a log of one behaviour.
    """
    popularity: bool = True
    """Add popularity of all time to every user's scores, with a weight chosen on validation."""
    trend: bool = True
    """Where held-out rows come later: add recent popularity to every user's scores, weigh item–item
    scores by freshness, and give users without history recently popular items; each with a weight
    chosen on validation.
    """


class IndexConfig(Section):
    """How top-k is looked up."""

    kind: str = "auto"
    """exact; ivf, hnsw or pq of FAISS; one that was added; auto: exact search unless it misses
    `latency_ms`.
    """
    target_recall: float = Field(0.99, gt=0, le=1)
    """Recall@k against exact search whose 95 % lower bound an approximate index must reach."""
    k: int = Field(20, ge=1)
    """List length for which recall and cost are judged."""
    latency_ms: float = Field(10.0, gt=0)
    """Budget of one lookup on one thread: milliseconds that follow from counts and stated constants,
    so that the same log gets the same index on a busy machine. What is measured stands beside.
    """
    cold_items: bool = False
    """Serve rows of the item table without interactions, too: their attributes and links
    (graph.attributes, graph.relations) give them vectors; those without any are left out.
    """
    segment: str | None = None
    """Column of the user table: visitors of whom only its value is known get the items popular among
    users of that value.
    """
