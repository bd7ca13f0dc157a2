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
    triples, drops = _triples(config, data)
    links, lost = _links(config, data, log)
    _require_links(config, triples, links)
    triples, twins = _without_twins(triples)
    known, rare = _without_rare(_with_items(triples, links), config.min_triples)
    drops += twins + rare
    _require_any(config, known)
    known = _grouped(known, config.max_relations)
    kinds = known[KIND].unique().sort()
    first, *others = [
        one
        for kind in kinds
        for one in _of_kind(config.name, kind, known.filter(pl.col(KIND) == kind))
    ]
    lost = named(drops + lost, config.name)
    return [
        replace(first, rows_read=first.rows_read + lost.total(), drops=first.drops + lost),
        *others,
    ]


def _triples(config: KnowledgeConfig, data: DataConfig) -> tuple[pl.DataFrame, Drops]:
    head, kind, tail = config.columns or columns_of(config.file, 3, config.name)
    rows, drops = read_edges(config.file, (head, tail), config.name, data, kind=kind)
    rows, loops = without(rows, pl.col(SOURCE) == pl.col(DESTINATION), "self-loop")
    if config.kinds is None:
        return rows, drops + loops
    _require_kinds(config, rows[KIND].unique().sort().to_list())
    rows, others = without(rows, ~pl.col(KIND).is_in(config.kinds), "of a kind not asked for")
    return rows, drops + loops + others


def _require_kinds(config: KnowledgeConfig, found: list[str]) -> None:
    for kind in config.kinds or []:
        if kind not in found:
            hint = nearest(kind, found) or f"It has {found[:20]}"
            raise ConfigError(
                f"graph.knowledge.kinds names {kind!r}, and no triple of {config.file!r} is of it",
                hint,
            )


def _links(config: KnowledgeConfig, data: DataConfig, log: CodedLog) -> tuple[pl.DataFrame, Drops]:
    """ITEM (a code) and entity, each pair once."""
    item, entity = config.link_columns or columns_of(config.links, 2, config.name)
    rows, drops = read_edges(config.links, (item, entity), config.name, data)
    rows, unknown = coded(rows, SOURCE, ITEM, log)
    pairs, repeated = once(rows)
    lost = Drops(
        {f"link, {reason}": count for reason, count in (drops + unknown + repeated).items()}
    )
    return pairs.rename({SOURCE: ITEM, DESTINATION: _ENTITY}), lost


def _require_links(config: KnowledgeConfig, triples: pl.DataFrame, links: pl.DataFrame) -> None:
    entities = pl.concat([triples[SOURCE], triples[DESTINATION].rename(SOURCE)])
    if not len(links) or not links[_ENTITY].is_in(entities.unique().implode()).any():
        sample = f"{links[_ENTITY][0]!r} say" if len(links) else "and none is of an item of the log"
        raise DataError(
            f"the links {config.links!r} point nowhere: none of their {len(links):,} entities, {sample}, "
            f"is in a triple of {config.file!r}",
            "Check graph.knowledge.link_columns, and that both files name entities alike",
        )


def _without_twins(triples: pl.DataFrame) -> tuple[pl.DataFrame, Drops]:
    """Of kinds that link the same pairs, "film.genre" and "genre.films" say, the first by name
    stays.
    """
    ends = pl.min_horizontal(SOURCE, DESTINATION), pl.max_horizontal(SOURCE, DESTINATION)
    pairs = triples.select(
        KIND, pl.struct(ends[0].alias("low"), ends[1].alias("high")).hash().alias("pair")
    ).unique()
    marks = pairs.group_by(KIND).agg(pl.len(), pl.col("pair").sum()).sort(KIND)
    twins = marks.filter(~pl.struct("len", "pair").is_first_distinct())[KIND]
    return without(
        triples, pl.col(KIND).is_in(twins.implode()), "of a kind that is the inverse of another"
    )


def _without_rare(triples: pl.DataFrame, min_triples: int) -> tuple[pl.DataFrame, Drops]:
    """Without triples of an entity that is no item and stands in too few."""
    ends = [
        triples.filter(pl.col(item).is_null())[end]
        for end, item in ((SOURCE, _HEAD), (DESTINATION, _TAIL))
    ]
    counts = pl.concat([ends[0], ends[1].rename(SOURCE)]).value_counts(name="count")
    rare = counts.filter(pl.col("count") < min_triples)[SOURCE].implode()
    alone = (
        pl.col(SOURCE).is_in(rare) & pl.col(_HEAD).is_null()
        | pl.col(DESTINATION).is_in(rare) & pl.col(_TAIL).is_null()
    )
    return without(triples, alone, "of an entity in too few triples")


def _require_any(config: KnowledgeConfig, triples: pl.DataFrame) -> None:
    if not len(triples):
        raise DataError(
            f"no entity of {config.file!r} is in {config.min_triples} triples",
            "Set graph.knowledge.min_triples = 1",
        )


def _with_items(triples: pl.DataFrame, links: pl.DataFrame) -> pl.DataFrame:
    """Triples with the items that their head and tail are, null for other entities."""
    for end, column in ((SOURCE, _HEAD), (DESTINATION, _TAIL)):
        known = links.rename({_ENTITY: end, ITEM: column})
        triples = triples.join(known, on=end, how="left", maintain_order="left")
    return triples


def _grouped(triples: pl.DataFrame, max_relations: int) -> pl.DataFrame:
    """The most frequent kinds under their names, the others as one."""
    counts = triples.group_by(KIND).len().sort(["len", KIND], descending=[True, False])
    if len(counts) <= max_relations:
        return triples
    kept = counts[KIND].head(max_relations)
    return triples.with_columns(
        pl.when(pl.col(KIND).is_in(kept.implode())).then(KIND).otherwise(pl.lit(OTHER)).alias(KIND)
    )


def _of_kind(name: str, kind: str, triples: pl.DataFrame) -> list[EdgeRows]:
    """Up to three relations: items with entities, items with items, entities with entities."""
    head, tail = pl.col(_HEAD), pl.col(_TAIL)
    entity = f"{ITEM}:{name}"
    of_head = triples.filter(head.is_not_null() & tail.is_null()).select(
        head.alias(SOURCE), DESTINATION
    )
    of_tail = triples.filter(head.is_null() & tail.is_not_null()).select(
        tail.alias(SOURCE), pl.col(SOURCE).alias(DESTINATION)
    )
    both = triples.filter(head.is_not_null() & tail.is_not_null()).select(
        head.alias(SOURCE), tail.alias(DESTINATION)
    )
    others = triples.filter(head.is_null() & tail.is_null()).select(SOURCE, DESTINATION)
    found = (
        (f"{name}:{kind}", (ITEM, entity), pl.concat([of_head, of_tail])),
        (f"{name}:{kind}:items", (ITEM, ITEM), both),
        (f"{name}:{kind}:entities", (entity, entity), others),
    )
    return [_relation(*one) for one in found if len(one[2])]


def _relation(name: str, ends: tuple[str, str], rows: pl.DataFrame) -> EdgeRows:
    # Two items may be the same entity, or an item two: a triple between them is no edge of an item
    # to itself.
    kept, loops = without(
        rows, pl.lit(ends[0] == ends[1]) & (pl.col(SOURCE) == pl.col(DESTINATION)), "self-loop"
    )
    kept, repeated = once(kept)
    return EdgeRows(name, ends, kept, rows_read=len(rows), drops=named(loops + repeated, name))
