"""What becomes an edge."""

from typing import Any, Literal, Self

from pydantic import Field, PositiveFloat, field_validator, model_validator

from recsys.core.config.section import Section
from recsys.core.errors import ConfigError

_OWN_IDS = ("user", "item")


class AttributeConfig(Section):
    """One column of the item or user table: its values become nodes and a relation, or numbers
    beside a node's own state.
    """

    side: Literal["item", "user"] = "item"
    """Which table the column is in."""
    column: str
    """Column of the item or user table; a list column, or text with `separator`, gives several
    values a node.
    """
    separator: str | None = None
    """Splits a text column into several values."""
    bins: int | None = Field(None, ge=2)
    """A column of numbers becomes this many nodes of about as many owners each, by quantiles of the
    phase's own.
    """
    use: Literal["nodes", "feature"] = "nodes"
    """feature: numbers (centred and scaled), lists of numbers (embeddings of texts say) and values
    (as 0 and 1) are projected by weights that start at 0, and added to the layer-0 states of their
    owners; there are no nodes then.
    """

    @model_validator(mode="after")
    def _bins_are_nodes(self) -> Self:
        if self.bins is not None and self.use == "feature":
            raise ConfigError(
                f"the attribute {self.column!r} has bins and is a feature",
                "Bins are nodes: leave one of the two out",
            )
        return self


class NeighbourConfig(Section):
    """Which nodes of one side are linked because they share pairs of the target behaviour; for
    users read the mirror image.
    """

    top_n: int = Field(10, ge=1)
    """Most similar items of each item; two are linked when either is among the other's."""
    measure: Literal["cosine", "jaccard", "count"] = "cosine"
    """Similarity, and weight of the edge: c_ij / (√(c_i c_j) + shrinkage) (Salton), c_ij / (c_i +
    c_j − c_ij + shrinkage), or c_ij, the users that both share.
    """
    shrinkage: float = Field(0.0, ge=0)
    """Holds down similarities that rest on few users; not used by count."""
    min_shared: int = Field(2, ge=1)
    """Users that two items must share. From 2 on no edge exists because of the pair to predict
    alone.
    """


class RelationConfig(Section):
    """A file of edges that becomes a relation: who trusts whom, what cites what, which tags an item
    has.
    """

    name: str
    """Name of the relation, unique in the graph."""
    file: str
    """File, folder, glob or cloud URL with a row per edge; formats as of `data.log`."""
    between: tuple[str, str]
    """What the two ends are: "user", "item", or a name of your own, whose values become nodes,
    "tag" beside "item" say. The name with its side ("item:tag") shares the nodes with an attribute
    or another relation of that name.
    """
    columns: tuple[str, str] | None = None
    """Columns of the two ends; the first two of the file when absent."""
    directed: bool = True
    """Between nodes of one type: true makes two relations, there and back; false one that links
    both ways.
    """
    weight_col: str | None = None
    """Column that says how much an edge weighs; every edge weighs 1 when absent."""
    time_col: str | None = None
    """Column of the moment since when the edge is known; edges without a time are always known. No
    phase sees edges later than its last interaction, but for serving.
    """
    repeats: Literal["once", "sum"] = "once"
    """What rows of the same two ends make: one edge as of the heaviest of them, or one whose weight
    is their sum.
    """
    half_life_days: float | None = Field(None, gt=0)
    """Edge weights halve with this age, as under `graph.half_life_days`; needs time_col."""

    @model_validator(mode="after")
    def _ends_make_sense(self) -> Self:
        if any("/" in end for end in self.between):
            raise ConfigError(
                f"the relation {self.name!r} is between {list(self.between)}",
                "Name nodes without a slash",
            )
        if not any(end in _OWN_IDS or ":" in end for end in self.between):
            raise ConfigError(
                f"the relation {self.name!r} is between {self.between[0]!r} and {self.between[1]!r}",
                'One end must be "user", "item" or nodes of theirs, "item:tag" say',
            )
        if self.columns is not None and self.columns[0] == self.columns[1]:
            raise ConfigError(
                f"both ends of the relation {self.name!r} are read from {self.columns[0]!r}",
                "Name two",
            )
        if self.half_life_days is not None and self.time_col is None:
            raise ConfigError(
                f"half_life_days of the relation {self.name!r} needs times", "Name its time_col"
            )
        return self

    @property
    def ends(self) -> tuple[str, str]:
        """Node types of the two ends: values that belong to items are "item:<name>"."""
        owner = next(end.partition(":")[0] for end in self.between if end in _OWN_IDS or ":" in end)
        first, second = (
            end if end in _OWN_IDS or ":" in end else f"{owner}:{end}" for end in self.between
        )
        return first, second


class KnowledgeConfig(Section):
    """A file of triples (head, kind, tail) about entities, some of which are items: a relation for
    each kind.
    """

    name: str = "kg"
    """Its relations are called "<name>:<kind>"; entities that are no items become nodes of the type
    "item:<name>".
    """
    file: str
    """File, folder, glob or cloud URL with a row per triple; formats as of `data.log`."""
    links: str
    """File that says which entity an item is: the item itself stands in that entity's triples."""
    columns: tuple[str, str, str] | None = None
    """Columns of head, kind and tail; the first three of the file when absent."""
    link_columns: tuple[str, str] | None = None
    """Columns of item id and entity; the first two of the links when absent."""
    kinds: list[str] | None = None
    """Kinds to use; all when absent."""
    min_triples: int = Field(2, ge=1)
    """Triples that an entity must be in, unless it is an item: in one alone it links its item to
    nothing.
    """
    max_relations: int = Field(8, ge=1)
    """The most frequent kinds get a relation of their own; the others share one, "<name>:other"."""


class SessionConfig(Section):
    """Links from an item to the next one of the same user's session, counted over the users of the
    phase's own rows.
    """

    gap_minutes: float = Field(30, gt=0)
    """Rows of a user further apart are not of one session."""
    min_count: int = Field(2, ge=1)
    """How often an item must follow another. From 2 on no edge exists because of the pair to
    predict alone.
    """
    directed: bool = True
    """false: one relation that links both ways, for logs whose times do not give an order."""


class GraphConfig(Section):
    """What becomes an edge and what it weighs."""

    target: str | None = None
    """Behaviour to predict. Required when the log has several; the only one otherwise."""
    behavior_weights: dict[str, float] = Field({})
    """Confidence per behaviour, a factor on edge weights; 1 when absent, 0 leaves the behaviour
    out.
    """
    negative_behaviors: list[str] = Field([])
    """Behaviours that count against an item (dislike, return): relations of their own, whose gates
    may turn negative. Their items are hidden, unless evaluate.seen_behaviors says otherwise, and
    never count in favour of anything.
    """
    use_weights: bool = False
    """Multiply edge weights by the log's weight column."""
    half_life_days: PositiveFloat | Literal["auto", "none"] = "auto"
    """Edge weights halve with this age, counted back from the last row of the phase; needs times.
    auto: an eighth of the time from a phase's first row to its last, where what is held out comes
    later than what is learned from; else, and without times, edges do not decay. none: they never
    do.
    """
    behavior_half_life_days: dict[str, PositiveFloat] = Field({})
    """The same per behaviour, in place of half_life_days for those named: views may age faster than
    purchases.
    """
    attributes: list[AttributeConfig] = Field([])
    """Columns of the item and user tables that become nodes."""
    relations: list[RelationConfig] = Field([])
    """Files of edges: social links, item–item links, long attribute tables. Their gates start
    closed.
    """
    knowledge: list[KnowledgeConfig] = Field([])
    """Files of triples about entities, some of which are items."""
    sessions: SessionConfig | None = None
    """Link items to the next one of a session, as the added relation "next"; none when
    absent. Needs times.
    """
    item_neighbours: NeighbourConfig | None = None
    """Link items that share users, as an added relation whose gate starts closed; none when absent."""
    user_neighbours: NeighbourConfig | None = None
    """Link users that share items. A visitor has no such links."""

    @field_validator("half_life_days", mode="before")
    @classmethod
    def _absent_is_none(cls, value: Any) -> Any:
        """Older run folders say null."""
        return "none" if value is None else value

    def half_life_of(self, behavior: str | None = None) -> float | None:
        """Days after which a row of a behaviour weighs half, or of one that is not named; None when
        it does not age.

        "auto" is no number yet: `Phase.graph_config` works it out from the log.
        """
        common = None if isinstance(self.half_life_days, str) else self.half_life_days
        return self.behavior_half_life_days.get(behavior or "", common)

    @property
    def files(self) -> tuple[str, ...]:
        """What relations and knowledge graphs are read from."""
        triples = [file for entry in self.knowledge for file in (entry.file, entry.links)]
        return (*(entry.file for entry in self.relations), *triples)
