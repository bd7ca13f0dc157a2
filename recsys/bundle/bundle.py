"""A bundle in memory: its parts, and what is most often asked of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy import sparse

from recsys.bundle.attributes import ItemAttributes
from recsys.bundle.files import FORMAT, check_files
from recsys.bundle.item_columns import item_columns
from recsys.bundle.part import ForgottenUser, Part, Parts, registered_kinds
from recsys.bundle.parts import import_parts
from recsys.bundle.parts.cold_items import ColdItems
from recsys.bundle.parts.encoding import Encoding
from recsys.bundle.parts.history_rows import HistoryRows
from recsys.bundle.parts.index import Index
from recsys.bundle.parts.items import Items
from recsys.bundle.parts.labels import Labels
from recsys.bundle.parts.model_card import ModelCard
from recsys.bundle.parts.popularity import Popularity
from recsys.bundle.parts.run_report import RunReport
from recsys.bundle.parts.scoring import Scoring
from recsys.bundle.parts.second_stage import SecondStageTrees
from recsys.bundle.parts.seen import Seen
from recsys.bundle.parts.segments import Segments
from recsys.bundle.parts.similar_items import SimilarBy, SimilarItems
from recsys.bundle.parts.user_metrics import UserMetrics
from recsys.bundle.parts.user_vectors import UserVectors
from recsys.bundle.parts.users import Users
from recsys.bundle.storage import as_data_error, load_document, save_document
from recsys.cold_items.item_map import ItemMap
from recsys.cold_items.new_items import KnownItems, NewItems, read_new_items
from recsys.core.arrays import BoolArray, Float32Array, Float64Array, Int32Array
from recsys.core.encoder import EncoderState
from recsys.core.errors import UsageError
from recsys.core.history import WeightedHistories
from recsys.core.ids import IdMap
from recsys.core.ranking import Scorer
from recsys.encode.history_scores import BlendedScorer, HistoryScores
from recsys.search.exact import VectorScorer
from recsys.search.searcher import Searcher
from recsys.second_stage.columns import codes_of
from recsys.second_stage.inputs import FirstStage, RankedUsers, last_moments, latest_items
from recsys.second_stage.rerank import SecondStage

USER_NODES = "user:"
"""Node types of the values of user columns begin so."""

import_parts()


@dataclass(frozen=True)
class Bundle:
    """Everything that serving needs of one run; the large arrays are mapped.

    parts: by type. A part that no property below stands for is `bundle.parts.get(ItsType)`.
    folder: where it lies; None for a bundle that was not written.
    """

    parts: Parts
    folder: Path | None = None

    @staticmethod
    def load(path: Path, verify: bool = True) -> "Bundle":
        """Read a bundle. Sizes of all files are checked; `verify`: hashes too.

        Raises DataError naming what is missing or damaged. The golden requests are for
        `recsys.releases` to replay.
        """
        check_files(path, hashes=verify)
        with as_data_error(path):
            return Bundle.read(path)

    @staticmethod
    def read(folder: Path) -> "Bundle":
        """Read the parts in a folder whose files were checked, or just written."""
        facts = load_document(folder / "bundle.json")
        parts = Parts()
        for kind in registered_kinds():
            bundle_part = kind.load(folder, facts, parts)
            if bundle_part is not None:
                parts = parts.replaced(bundle_part)
        return Bundle(parts, folder)

    def check(self) -> None:
        """Raises UsageError when the parts do not belong together."""
        for bundle_part in self.parts:
            bundle_part.check(len(self.users), len(self.items))

    def write_files(self, folder: Path) -> None:
        """Write every file but golden.json and manifest.json."""
        facts: dict[str, Any] = {"format": FORMAT}
        for bundle_part in self.parts:
            facts |= bundle_part.save(folder)
        save_document(folder / "bundle.json", facts)

    def with_parts(self, *parts: Part) -> "Bundle":
        """The bundle with these parts in the place of those of their types; not written yet."""
        return Bundle(self.parts.replaced(*parts))

    def append_items(self, new: NewItems) -> "Bundle":
        """The bundle with new items behind its own; not written yet."""
        if not len(new):
            return self
        longer = self.parts
        for bundle_part in self._in_order():
            longer = longer.replaced(bundle_part.append_items(new, longer))
        return Bundle(longer)

    def drop_user(self, row: int) -> "Bundle":
        """The bundle without the user of that internal id; not written yet."""
        [external] = self.users.external(np.array([row]))
        user = ForgottenUser(row, external)
        parts = [bundle_part.drop_user(user) for bundle_part in self.parts]
        return Bundle(Parts(parts))

    def _in_order(self) -> list[Part]:
        """The parts, each behind those that it reads."""
        bundle_parts = [self.parts.get(kind) for kind in registered_kinds()]
        return [bundle_part for bundle_part in bundle_parts if bundle_part is not None]

    def read_new_items(self, table: pl.DataFrame) -> NewItems:
        """What a table says of items that this bundle lacks (`cold_items.new_items`)."""
        return read_new_items(self.item_map, self.known_items, table)

    @property
    def known_items(self) -> KnownItems:
        """The items, as new ones join them."""
        table = self.parts[Items].full_table
        return KnownItems(self.items, table, self.item_vectors, self.labels, self.cold_items)

    @property
    def path(self) -> Path:
        """Where it lies. Raises UsageError for a bundle that was not written."""
        if self.folder is None:
            raise UsageError("this bundle was not written", "Use write_bundle, then Bundle.load")
        return self.folder

    @property
    def name(self) -> str:
        return self.path.resolve().name

    def golden(self) -> Any:
        """The requests recorded with their answers when the bundle was written. Read from disk each
        time.
        """
        with as_data_error(self.path):
            return load_document(self.path / "golden.json")

    @cached_property
    def users(self) -> IdMap:
        return self.parts[Users].ids

    @cached_property
    def items(self) -> IdMap:
        return self.parts[Items].ids

    @cached_property
    def item_table(self) -> pl.DataFrame:
        """ITEM_ID, title and attributes, by internal id."""
        return self.parts[Items].table

    @cached_property
    def attributes(self) -> ItemAttributes:
        return self.parts[Items].attributes

    @cached_property
    def available(self) -> BoolArray:
        """(items,) False for withdrawn items."""
        return self.parts[Items].available

    @cached_property
    def separators(self) -> Mapping[str, str]:
        return self.parts[Items].separators

    @cached_property
    def labels(self) -> Mapping[str, Sequence[str]]:
        """By node type, the value of each node."""
        return self.parts[Labels].by_type

    @cached_property
    def user_vectors(self) -> Float32Array:
        """(users, d)."""
        return self.parts[UserVectors].vectors

    @cached_property
    def user_self(self) -> Float32Array:
        """(users, d) layer-0 states."""
        return self.parts[Encoding].user_self

    @cached_property
    def encoder(self) -> EncoderState:
        return self.parts[Encoding].encoder

    @cached_property
    def neighbours(self) -> Mapping[str, sparse.csr_matrix]:
        """By relation into users, (users, sources) edge weights."""
        return self.parts[Encoding].neighbours

    @cached_property
    def item_vectors(self) -> Float32Array:
        """(items, d)."""
        return self.parts[Scoring].item_vectors

    @cached_property
    def search_vectors(self) -> Float32Array:
        """(items, n) what queries meet: the item vectors, low-pass and trend beside them."""
        return self.parts[Scoring].search_vectors

    @cached_property
    def boosted_vectors(self) -> Float32Array:
        """(items, n + 1) the same with the popularity behind, where there is a `boost_unit`."""
        return self.parts[Scoring].boosted_vectors

    @cached_property
    def boost_unit(self) -> float | None:
        """What a popularity boost of 1 is in a query; None for an older bundle."""
        return self.parts[Scoring].boost_unit

    @cached_property
    def added(self) -> HistoryScores | None:
        """What histories add to scores; None for vectors alone."""
        return self.parts[Scoring].added

    @cached_property
    def histories(self) -> sparse.csr_matrix | None:
        """(users, items) the histories that `added` is asked with."""
        return self.parts[Scoring].histories

    @cached_property
    def past(self) -> WeightedHistories | None:
        """What `added` is asked with for known users; None where nothing is added."""
        if self.added is None or self.histories is None:
            return None
        auxiliary = {name: self.seen[name] for name in self.added.auxiliary_behaviors}
        return WeightedHistories(self.histories, auxiliary)

    @property
    def scorer(self) -> Scorer:
        """Scores of known users, exactly as they are served."""
        vectors = VectorScorer(self.user_vectors, self.item_vectors)
        if self.added is None or self.past is None:
            return vectors
        return BlendedScorer(vectors, self.added, self.past)

    @cached_property
    def second_stage(self) -> SecondStage | None:
        """What orders the candidates of the scores once more; None where nothing does."""
        stored = self.parts.get(SecondStageTrees)
        if stored is None:
            return None
        columns = stored.trees.columns
        user_codes = {}
        for column, categories in columns.get("user", {}).items():
            user_codes[column] = codes_of(self.labels.get(USER_NODES + column, ()), categories)
        first = FirstStage(
            np.asarray(self.item_vectors),
            self.added,
            np.asarray(self.counts),
            self.shares(),
            stored.neighbours,
            item_columns(self.attributes, columns.get("item", {})),
            user_codes,
        )
        return SecondStage(stored.trees, first)

    def known_users(self, users: Int32Array, moments: Float64Array | None = None) -> RankedUsers:
        """Users by internal ids, as the second stage reads them.

        moments: (users,) unix seconds at which their lists are asked for; the end of the log when
            None.
        """
        past = None if self.past is None else self.past.of(users)
        attributes = {}
        for column, relation in self.user_attributes.items():
            attributes[column] = self.neighbours[relation][users]
        if moments is None:
            moments = np.full(len(users), self.last_moment)
        latest = last = None
        rows = self.parts.get(HistoryRows)
        if rows is not None:
            histories = rows.histories.of_users(users)
            latest = latest_items(histories, self.target)
            last = last_moments(histories, moments)
        had = self.seen[self.target][users]
        return RankedUsers(self.user_vectors[users], past, had, latest, moments, last, attributes)

    @cached_property
    def last_moment(self) -> float:
        """Unix seconds of the latest event; NaN where the log has no clock."""
        rows = self.parts.get(HistoryRows)
        if rows is None or rows.histories.moments is None or not len(rows.histories):
            return np.nan
        return float(rows.histories.moments.max())

    @cached_property
    def user_attributes(self) -> Mapping[str, str]:
        """By column of the user table that the graph has, the relation into users."""
        relations = {}
        for relation in self.encoder.relations:
            if relation.source.startswith(USER_NODES) and relation.source in self.labels:
                relations[relation.source.removeprefix(USER_NODES)] = relation.name
        return relations

    @cached_property
    def index(self) -> Searcher | None:
        """The approximate index; None for exact search."""
        return self.parts[Index].plain

    @cached_property
    def boosted_index(self) -> Searcher | None:
        """The index as it is searched at a popularity boost other than 0; None for exact search."""
        return self.parts[Index].boosted

    @cached_property
    def index_card(self) -> dict[str, Any]:
        return self.parts[Index].card

    @cached_property
    def model_card(self) -> dict[str, Any]:
        return self.parts[ModelCard].card

    @cached_property
    def report(self) -> RunReport | None:
        """How the run did on its test; None for a bundle of an older version, or of no run."""
        return self.parts.get(RunReport)

    @cached_property
    def seen(self) -> Mapping[str, sparse.csr_matrix]:
        """By behaviour, (users, items) with an entry for each pair."""
        return self.parts[Seen].items

    @cached_property
    def seen_behaviors(self) -> tuple[str, ...]:
        """Behaviours that hide an item from its user."""
        return self.parts[Seen].seen_behaviors

    @cached_property
    def target(self) -> str:
        return self.parts[Seen].target

    @cached_property
    def segments(self) -> tuple[str, ...]:
        """Rows of `popularity`: all, then the behaviours."""
        return self.parts[Popularity].segments

    @cached_property
    def popularity(self) -> Float32Array:
        """(segments, items) users who had each item."""
        return self.parts[Popularity].counts

    @property
    def counts(self) -> Float32Array:
        """(items,) users who had each item under the target behaviour."""
        return self.parts[Popularity].under(self.target)

    @cached_property
    def popular(self) -> Float32Array | None:
        """(items,) share of users by which visitors are answered where recent ones count more."""
        return self.parts[Popularity].recent

    @cached_property
    def user_segments(self) -> Segments | None:
        return self.parts.get(Segments)

    @cached_property
    def similar_by(self) -> SimilarBy:
        """By what items are similar; the vectors in a bundle of an older version."""
        similar = self.parts.get(SimilarItems)
        return "vectors" if similar is None else similar.by

    def shares(self, segment: Sequence[int] = ()) -> Float32Array:
        """(items,) share of the users, or of those of some values of `user_segments`, with the item
        under the target; of recent users, where the bundle says so.
        """
        if self.popular is None:
            everybody = np.asarray(self.counts / max(len(self.users), 1), np.float32)
        else:
            everybody = np.asarray(self.popular, np.float32)
        if self.user_segments is None or not segment:
            return everybody
        return self.user_segments.shares(segment, everybody)

    @property
    def test_values(self) -> pl.DataFrame | None:
        """USER_ID and metrics of the test users; None for a bundle that was written without. Read
        from disk each time.
        """
        metrics = self.parts.get(UserMetrics)
        return None if metrics is None else metrics.values.collect()

    @cached_property
    def item_map(self) -> ItemMap | None:
        """Gives vectors to items from what they are; None where nothing says it."""
        cold = self.parts.get(ColdItems)
        return None if cold is None else cold.item_map

    @cached_property
    def cold_items(self) -> int:
        """How many of the last items have no interactions."""
        cold = self.parts.get(ColdItems)
        return 0 if cold is None else cold.count
