"""The bundle: everything serving needs of one run, immutable and named by its content.

bundle.json            behaviours, relations, sizes           user_vectors.npy, user_self.npy
users.parquet          user_id by dense id                    encoder.json, encoder.safetensors, states_<type>.npy
items.parquet          item_id, title, attributes             neighbours_<n>.*.npy   edges into users, per relation
item_attributes.*      items by attribute value               item_attributes.parquet  (column, value) of each of these
labels.parquet         what attribute nodes stand for         seen_<n>.*.npy         items of users, per behaviour
available.npy          bits, 0 for withdrawn items            popularity.npy         (segments, items) users
index.faiss            when search is approximate             index_card.json, model_card.json
item_item.*.npy        what items lend each other, if any     histories.*.npy        (users, items) that it is asked with
low_pass_into.npy      of histories, if any                   search_vectors.npy     item vectors | low-pass | popularity
test_values.parquet    metrics of each test user, if the model was tested
popular.npy            (items,) share of users, of late, if that is what visitors of whom nothing is known get
met_gain.npy           what items gain that a user viewed, say, and did not buy: (behaviours, items), if anything
cold_<n>.npy           vectors of what items are, if known    cold_mean.npy, cold_states.npy
segments.*.npy         (values of a user column, items) users who took them, if asked for
golden.json            requests with their answers            manifest.json          sha256 of every other file

An older bundle has item_vectors.npy, and search_vectors.npy without the popularity if at all.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl
from scipy import sparse

from recsys.bundle.attributes import ItemAttributes
from recsys.bundle.contents import ALL, FORMAT, Contents, neighbours_into_users
from recsys.bundle.item_map import ItemMap
from recsys.bundle.segments import Segments
from recsys.bundle.storage import (
    as_data_error,
    load_array,
    load_document,
    load_matrix,
    save_document,
)
from recsys.core.arrays import BoolArray, Float32Array
from recsys.core.artefacts import atomic_folder, copy_sha256, file_sha256, no_pause, text_sha256
from recsys.core.encoder import EncoderState
from recsys.core.errors import DataError
from recsys.core.history import WeightedHistories
from recsys.core.ids import IdMap
from recsys.core.machine import versions
from recsys.core.ranking import Scorer
from recsys.core.table_files import read_parquet
from recsys.core.tables import ITEM_ID, LABEL, NODE_TYPE, USER_ID
from recsys.encode.history_scores import BlendedScorer, HistoryScores
from recsys.search.exact import VectorScorer
from recsys.search.searcher import Searcher
from recsys.search.searchers import load_searcher

__all__ = [
    "Bundle",
    "Contents",
    "check_files",
    "copy_checked",
    "neighbours_into_users",
    "write_sealed",
]

_MANIFEST = "manifest.json"
_CARDS = ("index_card.json", "model_card.json")
_UNADDRESSED = (_MANIFEST, "golden.json")


@dataclass(frozen=True)
class Bundle:
    """A bundle in memory; the large arrays are mapped. Fields as in `Contents`; popularity:
    (segments, items).

    search_vectors: (items, d + rank) what queries meet: the item vectors, and the low-pass beside
    them. dial_vectors: the same with the coordinate of the dial behind, whose unit is `dial_unit`,
    None for a bundle without it. turned: the index over these as it is searched when the dial is
    not at 0, None for exact search.
    """

    path: Path
    users: IdMap
    items: IdMap
    user_vectors: Float32Array
    user_self: Float32Array
    item_vectors: Float32Array
    encoder: EncoderState
    neighbours: dict[str, sparse.csr_matrix]
    seen: dict[str, sparse.csr_matrix]
    seen_behaviors: tuple[str, ...]
    target: str
    item_table: pl.DataFrame
    attributes: ItemAttributes
    labels: dict[str, list[str]]
    available: BoolArray
    popularity: Float32Array
    segments: tuple[str, ...]
    index: Searcher | None
    index_card: dict[str, Any]
    model_card: dict[str, Any]
    added: HistoryScores | None
    histories: sparse.csr_matrix | None
    search_vectors: Float32Array
    dial_vectors: Float32Array
    dial_unit: float | None
    turned: Searcher | None
    separators: dict[str, str]
    item_map: ItemMap | None
    cold_items: int
    user_segments: Segments | None
    popular: Float32Array | None

    @property
    def scorer(self) -> Scorer:
        """Scores of known users, exactly as they are served."""
        vectors = VectorScorer(self.user_vectors, self.item_vectors)
        return (
            vectors
            if self.added is None or self.past is None
            else BlendedScorer(vectors, self.added, self.past)
        )

    @cached_property
    def past(self) -> WeightedHistories | None:
        """What `added` is asked with for known users; None where nothing is added."""
        if self.added is None or self.histories is None:
            return None
        return WeightedHistories(
            self.histories,
            {behavior: self.seen[behavior] for behavior in self.added.auxiliary_behaviors},
        )

    @property
    def counts(self) -> Float32Array:
        """(items,) users who had each item under the target behaviour."""
        return np.asarray(self.popularity[self.segments.index(self.target)])

    def shares(self, segment: Sequence[int] = ()) -> Float32Array:
        """(items,) share of the users, or of those of some values of `user_segments`, with the item
        under the target; of late, where the bundle says so.
        """
        of_all = self.counts / max(len(self.users), 1) if self.popular is None else self.popular
        everybody = np.asarray(of_all, np.float32)
        return (
            self.user_segments.shares(segment, everybody)
            if self.user_segments and segment
            else everybody
        )

    @property
    def test_values(self) -> pl.DataFrame | None:
        """USER_ID and metrics of the test users; None for a bundle that was written without. Read
        from disk each time.
        """
        file = self.path / "test_values.parquet"
        return read_parquet(file) if file.exists() else None

    @property
    def name(self) -> str:
        return self.path.resolve().name

    @staticmethod
    def load(path: Path, verify: bool = True) -> "Bundle":
        """Read a bundle. Sizes of all files are checked; `verify`: hashes too.

        Raises DataError naming what is missing or damaged. The golden requests are for
        `recsys.releases` to replay.
        """
        check_files(path, hashes=verify)
        with as_data_error(path):
            return _read(path)

    def golden(self) -> Any:
        """The requests recorded with their answers when the bundle was written. Read from disk each
        time.
        """
        with as_data_error(self.path):
            return load_document(self.path / "golden.json")


def check_files(path: Path, hashes: bool = True) -> None:
    """Compare the files of a bundle with its manifest. Raises DataError naming the first that
    differs.
    """
    for name, facts in _manifest_of(path).items():
        file = path / name
        _require_size(path, name, facts)
        if hashes and file_sha256(file) != facts["sha256"]:
            raise _changed(path, name)


def copy_checked(path: Path, copy: Path, between: Callable[[], None] = no_pause) -> None:
    """Copy a bundle into the new folder `copy`, with its hashes checked on the way; `between` is
    called after each MB.

    Raises DataError naming the first file that differs from the manifest.
    """
    files = _manifest_of(path)
    for name, facts in files.items():
        _require_size(path, name, facts)
    copy.mkdir()
    with as_data_error(path):
        shutil.copy2(path / _MANIFEST, copy)
        for name, facts in files.items():
            if copy_sha256(path / name, copy / name, between) != facts["sha256"]:
                raise _changed(path, name)


def _manifest_of(path: Path) -> dict[str, dict[str, Any]]:
    """Facts by file name. Raises DataError for what is not a bundle of this format."""
    if not (path / _MANIFEST).exists():
        raise DataError(
            f"{str(path)!r} is not a bundle: it has no {_MANIFEST}", "Make one with recsys index"
        )
    with as_data_error(path):
        manifest = load_document(path / _MANIFEST)
        known, files = manifest["format"] == FORMAT, dict(manifest["files"])
    if not known:
        raise DataError(
            f"bundle {str(path)!r} has format {manifest['format']}, this version reads {FORMAT}",
            "Write it again",
        )
    return files


def _require_size(path: Path, name: str, facts: Mapping[str, Any]) -> None:
    file = path / name
    if not file.is_file():
        raise DataError(f"bundle {str(path)!r} lacks {name}", "Write it again with recsys index")
    if file.stat().st_size != facts["bytes"]:
        raise _changed(path, name)


def _changed(path: Path, name: str) -> DataError:
    return DataError(
        f"{name} in bundle {str(path)!r} was changed or cut short",
        "Write it again with recsys index",
    )


def write_sealed(
    bundles: Path, fill: Callable[[Path], None], record: Callable[[Bundle], Any]
) -> Path:
    """Write bundles/<sha12> and return it; a bundle of the same content is left as it is.

    fill: writes the files into a folder. record: asks the new bundle its golden requests and gives
    the document.
    """
    staging = bundles / ".staging.tmp"
    with atomic_folder(staging) as part:
        fill(part)
        bundle = _read(part)
        save_document(part / "golden.json", record(bundle))
        address = _address(part)
        save_document(part / _MANIFEST, _manifest(part, address))
    path = bundles / address[:12]
    if (path / _MANIFEST).exists():
        shutil.rmtree(staging)
    else:
        staging.replace(path)
    return path


def _read(path: Path) -> Bundle:
    facts, card = load_document(path / "bundle.json"), load_document(path / "index_card.json")
    with_dial, searched, vectors, back = _item_vectors(path, facts)
    num_items = facts["num_items"]
    items = read_parquet(path / "items.parquet")
    labels = read_parquet(path / "labels.parquet").partition_by(
        NODE_TYPE, as_dict=True, maintain_order=True
    )
    relations, behaviors = facts["relations"].items(), facts["behaviors"]
    index, history = load_searcher(path, with_dial, card), facts.get("history")
    return Bundle(
        path=path,
        users=IdMap(read_parquet(path / "users.parquet")[USER_ID], "user"),
        items=IdMap(items[ITEM_ID], "item"),
        user_vectors=load_array(path / "user_vectors.npy"),
        user_self=load_array(path / "user_self.npy"),
        item_vectors=vectors,
        encoder=EncoderState.load(path),
        neighbours={
            name: load_matrix(path, f"neighbours_{n}", columns, True)
            for n, (name, columns) in enumerate(relations)
        },
        seen={
            name: load_matrix(path, f"seen_{n}", num_items, False)
            for n, name in enumerate(behaviors)
        },
        seen_behaviors=tuple(facts["seen_behaviors"]),
        target=facts["target"],
        item_table=items,
        attributes=ItemAttributes.load(path, items),
        labels={str(name): rows[LABEL].to_list() for (name,), rows in labels.items()},
        available=np.unpackbits(load_array(path / "available.npy"), count=num_items).astype(bool),
        popularity=load_array(path / "popularity.npy"),
        segments=(ALL, *behaviors),
        index=None if index is None else index.over(searched),
        index_card=card,
        model_card=load_document(path / "model_card.json"),
        added=_history_scores(path, back, **history) if history else None,
        histories=load_matrix(path, "histories", num_items, True) if history else None,
        search_vectors=searched,
        dial_vectors=with_dial,
        dial_unit=facts.get("dial_unit"),
        turned=_turned(index, card),
        separators=facts.get("separators", {}),
        item_map=ItemMap.load(path, facts["item_map"]) if "item_map" in facts else None,
        cold_items=facts.get("cold_items", 0),
        user_segments=Segments.load(path, facts["user_segments"], num_items)
        if "user_segments" in facts
        else None,
        popular=load_array(path / "popular.npy") if (path / "popular.npy").exists() else None,
    )


def _item_vectors(
    path: Path, facts: dict[str, Any]
) -> tuple[Float32Array, Float32Array, Float32Array, Float32Array]:
    """What is searched with the dial and without it, and in it the trained vectors and the
    low-pass; mapped once.
    """
    old, searched = path / "item_vectors.npy", path / "search_vectors.npy"
    everything = load_array(searched if searched.exists() else old)
    width = load_array(old).shape[1] if old.exists() else facts["width"]
    last = everything.shape[1] - (facts.get("dial_unit") is not None)
    return everything, everything[:, :last], everything[:, :width], everything[:, width:last]


def _turned(index: Searcher | None, card: dict[str, Any]) -> Searcher | None:
    """`index` as its card says to search it when the dial is not at 0; None where only exact search
    is proven.
    """
    parameters = card.get("dial", {}).get("parameters")
    return (
        index.with_parameters(parameters) if index is not None and parameters is not None else None
    )


def _history_scores(
    path: Path,
    back: Float32Array,
    half_life: float | None,
    met: Sequence[str] = (),
    heard: Mapping[str, float] = MappingProxyType({}),
) -> HistoryScores:
    """met: behaviours, the rows of met_gain.npy."""
    table = load_matrix(path, "item_item", len(back), True)
    gain = dict(zip(met, load_array(path / "met_gain.npy"), strict=True)) if met else {}
    return HistoryScores(
        table, load_array(path / "low_pass_into.npy"), back, half_life, gain, heard
    )


def _manifest(folder: Path, address: str) -> dict[str, Any]:
    files = sorted(file.name for file in folder.iterdir() if file.name != _MANIFEST)
    facts = {
        name: {"sha256": file_sha256(folder / name), "bytes": (folder / name).stat().st_size}
        for name in files
    }
    return {"format": FORMAT, "address": address, "files": facts, "versions": versions()}


def _address(folder: Path) -> str:
    """Hash of what a bundle answers from: timings on the cards, and the answers themselves, do not
    move it.
    """
    lines = []
    for file in sorted(folder.iterdir()):
        if file.name in _CARDS:
            card = {key: value for key, value in load_document(file).items() if key != "measured"}
            lines.append(f"{file.name}\0{text_sha256(repr(sorted(card.items())))}")
        elif file.name not in _UNADDRESSED:
            lines.append(f"{file.name}\0{file_sha256(file)}")
    return text_sha256("\n".join(lines))
