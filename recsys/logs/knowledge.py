"""Triples about entities (`[[graph.knowledge]]`): an item stands in the triples of its entity, one
hop from the others.
"""

from dataclasses import replace

import polars as pl

from recsys.core.config import DataConfig, KnowledgeConfig
from recsys.core.edge_rows import EdgeRows
from recsys.core.errors import ConfigError, DataError, nearest
from recsys.core.tables import DESTINATION, ITEM, SOURCE, Drops
from recsys.logs.edge_files import KIND, coded, columns_of, named, once, read_edges, without
from recsys.logs.ingest import CodedLog

OTHER = "other"
_HEAD, _TAIL, _ENTITY = "head item", "tail item", "entity"


def read_knowledge(config: KnowledgeConfig, data: DataConfig, log: CodedLog) -> list[EdgeRows]:
    """A relation for each kind: items with entities, whichever comes first in the triple.

    Triples between two items, and between two entities, make relations of their own,
    "<name>:<kind>:items" and "…:entities". What is lost before kinds are told apart is counted with
    the first relation. Raises DataError when no entity of the links occurs in a triple, ConfigError
    for a kind that there is not.
    """
    triples, triple_drops = _triples(config, data)
    links, link_drops = _links(config, data, log)
    _require_links(config, triples, links)

    triples, twin_drops = _without_twins(triples)
    triples = _with_items(triples, links)
    # After the twins went: a fact that is told in both directions counts once.
    triples, rare_drops = _without_rare(triples, config.min_triples)
    _require_any(config, triples)

    # Before kinds are told apart, so that repeats within "other" count as repeats.
    triples = _grouped(triples, config.max_relations)
    relations = []
    for kind in triples[KIND].unique().sort():
        triples_of_kind = triples.filter(pl.col(KIND) == kind)
        relations.extend(_of_kind(config.name, kind, triples_of_kind))

    drops = named(triple_drops + twin_drops + rare_drops + link_drops, config.name)
    first, *others = relations
    rows_read = first.rows_read + drops.total()
    return [replace(first, rows_read=rows_read, drops=first.drops + drops), *others]


def _triples(config: KnowledgeConfig, data: DataConfig) -> tuple[pl.DataFrame, Drops]:
    head, kind, tail = config.columns or columns_of(config.file, 3, config.name)
    triples, drops = read_edges(config.file, (head, tail), config.name, data, kind=kind)
    is_loop = pl.col(SOURCE) == pl.col(DESTINATION)
    triples, loop_drops = without(triples, is_loop, "self-loop")
    drops = drops + loop_drops
    if config.kinds is None:
        return triples, drops

    _require_kinds(config, triples[KIND].unique().sort().to_list())
    is_unwanted = ~pl.col(KIND).is_in(config.kinds)
    triples, kind_drops = without(triples, is_unwanted, "of a kind not asked for")
    return triples, drops + kind_drops


def _require_kinds(config: KnowledgeConfig, known_kinds: list[str]) -> None:
    for kind in config.kinds or []:
        if kind not in known_kinds:
            hint = nearest(kind, known_kinds) or f"It has {known_kinds[:20]}"
            raise ConfigError(
                f"graph.knowledge.kinds names {kind!r}, and no triple of {config.file!r} is of it",
                hint,
            )


def _links(config: KnowledgeConfig, data: DataConfig, log: CodedLog) -> tuple[pl.DataFrame, Drops]:
    """ITEM (a code) and entity, each pair once."""
    item, entity = config.link_columns or columns_of(config.links, 2, config.name)
    links, read_drops = read_edges(config.links, (item, entity), config.name, data)
    links, unknown_drops = coded(links, SOURCE, ITEM, log)
    links, repeated_drops = once(links)

    drops = Drops()
    for reason, count in (read_drops + unknown_drops + repeated_drops).items():
        drops[f"link, {reason}"] = count
    return links.rename({SOURCE: ITEM, DESTINATION: _ENTITY}), drops


def _require_links(config: KnowledgeConfig, triples: pl.DataFrame, links: pl.DataFrame) -> None:
    entities = pl.concat([triples[SOURCE], triples[DESTINATION].rename(SOURCE)])
    in_triples = links[_ENTITY].is_in(entities.unique().implode())
    if not in_triples.any():
        example = "and none is of an item of the log"
        if len(links):
            example = f"{links[_ENTITY][0]!r} say"
        raise DataError(
            f"the links {config.links!r} point nowhere: none of their {len(links):,} entities, {example}, "
            f"is in a triple of {config.file!r}",
            "Check graph.knowledge.link_columns, and that both files name entities alike",
        )


def _without_twins(triples: pl.DataFrame) -> tuple[pl.DataFrame, Drops]:
    """Of kinds that link the same pairs, "film.genre" and "genre.films" say, the first by name
    stays.
    """
    # A pair is the same from either end: the smaller id first, whatever the direction.
    low = pl.min_horizontal(SOURCE, DESTINATION).alias("low")
    high = pl.max_horizontal(SOURCE, DESTINATION).alias("high")
    pair = pl.struct(low, high).hash().alias("pair")
    pairs = triples.select(KIND, pair).unique()

    # Kinds with as many pairs and the same sum of their hashes link the same pairs. A sum does not
    # depend on the order of rows, and comparing the sets themselves would take them all side by side.
    by_kind = pairs.group_by(KIND)
    fingerprints = by_kind.agg(pl.len(), pl.col("pair").sum()).sort(KIND)
    is_repeated = ~pl.struct("len", "pair").is_first_distinct()
    twin_kinds = fingerprints.filter(is_repeated)[KIND]
    is_twin = pl.col(KIND).is_in(twin_kinds.implode())
    return without(triples, is_twin, "of a kind that is the inverse of another")


def _without_rare(triples: pl.DataFrame, min_triples: int) -> tuple[pl.DataFrame, Drops]:
    """Without triples of an entity that is no item and stands in too few."""
    # Item columns are null for other entities. Items stay however rare: they are nodes of the log.
    head_is_entity = pl.col(_HEAD).is_null()
    tail_is_entity = pl.col(_TAIL).is_null()
    heads = triples.filter(head_is_entity)[SOURCE]
    tails = triples.filter(tail_is_entity)[DESTINATION]
    entities = pl.concat([heads, tails.rename(SOURCE)])

    counts = entities.value_counts(name="count")
    rare_entities = counts.filter(pl.col("count") < min_triples)[SOURCE].implode()
    head_is_rare = head_is_entity & pl.col(SOURCE).is_in(rare_entities)
    tail_is_rare = tail_is_entity & pl.col(DESTINATION).is_in(rare_entities)
    return without(triples, head_is_rare | tail_is_rare, "of an entity in too few triples")


def _require_any(config: KnowledgeConfig, triples: pl.DataFrame) -> None:
    if not len(triples):
        raise DataError(
            f"no entity of {config.file!r} is in {config.min_triples} triples",
            "Set graph.knowledge.min_triples = 1",
        )


def _with_items(triples: pl.DataFrame, links: pl.DataFrame) -> pl.DataFrame:
    """Triples with the items that their head and tail are, null for other entities."""
    for end, column in ((SOURCE, _HEAD), (DESTINATION, _TAIL)):
        # An entity that several items link to stands for each: its triples are repeated for them.
        items_of_end = links.rename({_ENTITY: end, ITEM: column})
        triples = triples.join(items_of_end, on=end, how="left", maintain_order="left")
    return triples


def _grouped(triples: pl.DataFrame, max_relations: int) -> pl.DataFrame:
    """The most frequent kinds under their names, the others as one."""
    counts = triples.group_by(KIND).len()
    # By name among equals: a group-by has no order of its own.
    counts = counts.sort(["len", KIND], descending=[True, False])
    if len(counts) <= max_relations:
        return triples
    frequent = counts[KIND].head(max_relations)
    is_frequent = pl.col(KIND).is_in(frequent.implode())
    kind = pl.when(is_frequent).then(KIND).otherwise(pl.lit(OTHER))
    return triples.with_columns(kind.alias(KIND))


def _of_kind(name: str, kind: str, triples: pl.DataFrame) -> list[EdgeRows]:
    """Up to three relations: items with entities, items with items, entities with entities."""
    head_item = pl.col(_HEAD)
    tail_item = pl.col(_TAIL)
    head_is_item = head_item.is_not_null()
    tail_is_item = tail_item.is_not_null()

    item_first = triples.filter(head_is_item & ~tail_is_item)
    item_last = triples.filter(~head_is_item & tail_is_item)
    between_items = triples.filter(head_is_item & tail_is_item)
    between_entities = triples.filter(~head_is_item & ~tail_is_item)

    # The item is the source, whichever end of the triple it is.
    heads_to_entities = item_first.select(head_item.alias(SOURCE), DESTINATION)
    entity_of_tail = pl.col(SOURCE).alias(DESTINATION)
    tails_to_entities = item_last.select(tail_item.alias(SOURCE), entity_of_tail)
    items_to_entities = pl.concat([heads_to_entities, tails_to_entities])
    items_to_items = between_items.select(head_item.alias(SOURCE), tail_item.alias(DESTINATION))
    entities_to_entities = between_entities.select(SOURCE, DESTINATION)

    entity = f"{ITEM}:{name}"
    relations = (
        _relation(f"{name}:{kind}", (ITEM, entity), items_to_entities),
        _relation(f"{name}:{kind}:items", (ITEM, ITEM), items_to_items),
        _relation(f"{name}:{kind}:entities", (entity, entity), entities_to_entities),
    )
    return [relation for relation in relations if relation.rows_read]


def _relation(name: str, ends: tuple[str, str], rows: pl.DataFrame) -> EdgeRows:
    loop_drops = Drops()
    edges = rows
    if ends[0] == ends[1]:
        # Two items may be the same entity, or an item two: a triple between them is no edge of an
        # item to itself.
        is_loop = pl.col(SOURCE) == pl.col(DESTINATION)
        edges, loop_drops = without(edges, is_loop, "self-loop")
    edges, repeated_drops = once(edges)
    drops = named(loop_drops + repeated_drops, name)
    return EdgeRows(name, ends, edges, rows_read=len(rows), drops=drops)
