"""The bundle: everything serving needs of one run, immutable and named by its content.

bundle.json            behaviours, relations, sizes           user_vectors.npy, user_self.npy, item_vectors.npy
users.parquet          user_id by dense id                    encoder.json, encoder.safetensors, states_<type>.npy
items.parquet          item_id, title, attributes             neighbours_<n>.*.npy   edges into users, per relation
labels.parquet         what attribute nodes stand for         seen_<n>.*.npy         items of users, per behaviour
available.npy          bits, 0 for withdrawn items            popularity.npy         (segments, items) users
index.faiss            when search is approximate             index_card.json, model_card.json
golden.json            requests with their answers            manifest.json          sha256 of every other file
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from recsys.core.artefacts import atomic_folder, file_sha256, text_sha256
from recsys.core.encoder import Embeddings, EncoderState
from recsys.core.errors import DataError, UsageError
from recsys.core.ids import IdMap
from recsys.core.interactions import Interactions
from recsys.core.machine import versions
from recsys.core.tables import AVAILABLE, ITEM_ID, LABEL, NODE_TYPE, USER_ID
from recsys.index import golden
from recsys.index.approximate import ApproximateIndex
from recsys.index.stored import (
    Floats,
    load_array,
    load_document,
    load_matrix,
    save_array,
    save_document,
    save_matrix,
    whole,
)

FORMAT = 1
ALL = "all"
"""Popularity segment that counts a user once, whatever the behaviour."""

_MANIFEST = "manifest.json"
_CARDS = ("index_card.json", "model_card.json")
_UNADDRESSED = (_MANIFEST, "golden.json")


@dataclass(frozen=True)
class Contents:
    """What a bundle is written from.

    neighbours: by relation into users, (users, sources) edge weights (`neighbours_into_users`).
    seen_behaviors: behaviours that hide an item from its user. item_table: one row per dense item id, with any of
    title, `available` and attributes. labels: by attribute node type, what each node stands for.
    index: None for exact search, with its card. Timings in a card belong under "measured": that key does not
    change the address of the bundle.
    """

    embeddings: Embeddings
    interactions: Interactions
    target: str
    neighbours: Mapping[str, sparse.csr_matrix]
    seen_behaviors: tuple[str, ...] = ()
    item_table: pl.DataFrame | None = None
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    index: ApproximateIndex | None = None
    index_card: Mapping[str, Any] = field(default_factory=lambda: {"kind": "exact", "parameters": {}})
    model_card: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Bundle:
    """A bundle in memory; the large arrays are mapped. Fields as in `Contents`; popularity: (segments, items)."""

    path: Path
    users: IdMap
    items: IdMap
    user_vectors: Floats
    user_self: Floats
    item_vectors: Floats
    encoder: EncoderState
    neighbours: dict[str, sparse.csr_matrix]
    seen: dict[str, sparse.csr_matrix]
    seen_behaviors: tuple[str, ...]
    target: str
    item_table: pl.DataFrame
    labels: dict[str, list[str]]
    available: NDArray[np.bool_]
    popularity: Floats
    segments: tuple[str, ...]
    index: ApproximateIndex | None
    index_card: dict[str, Any]
    model_card: dict[str, Any]

    @property
    def name(self) -> str:
        return self.path.resolve().name

    @staticmethod
    def load(path: Path, verify: bool = True) -> "Bundle":
        """Read a bundle. Sizes of all files are checked; `verify`: hashes too, and the golden requests are replayed.

        Raises DataError naming what is missing, damaged or answered otherwise than when the bundle was written.
        """
        if not (path / _MANIFEST).exists():
            raise DataError(f"{str(path)!r} is not a bundle: it has no {_MANIFEST}", "Make one with recsys index")
        check_files(path, hashes=verify)
        with whole(path):
            bundle = _read(path)
        if verify:
            golden.replay(bundle, load_document(path / "golden.json"))
        return bundle


def check_files(path: Path, hashes: bool = True) -> None:
    """Compare the files of a bundle with its manifest. Raises DataError naming the first that differs."""
    with whole(path):
        manifest = load_document(path / _MANIFEST)
        known, files = manifest["format"] == FORMAT, dict(manifest["files"])
    if not known:
        raise DataError(
            f"bundle {str(path)!r} has format {manifest['format']}, this version reads {FORMAT}", "Write it again"
        )
    for name, facts in files.items():
        file = path / name
        if not file.is_file():
            raise DataError(f"bundle {str(path)!r} lacks {name}", "Write it again with recsys index")
        if file.stat().st_size != facts["bytes"] or (hashes and file_sha256(file) != facts["sha256"]):
            raise DataError(
                f"{name} in bundle {str(path)!r} was changed or cut short", "Write it again with recsys index"
            )


def write_bundle(bundles: Path, contents: Contents) -> Path:
    """Write bundles/<sha12> and return it; a bundle of the same content is left as it is.

    Raises UsageError when the parts do not belong together.
    """
    _check(contents)
    staging = bundles / ".staging.tmp"
    with atomic_folder(staging) as part:
        _write(part, contents)
        bundle = _read(part)
        save_document(part / "golden.json", golden.record(bundle))
        address = _address(part)
        save_document(part / _MANIFEST, _manifest(part, address))
    path = bundles / address[:12]
    if (path / _MANIFEST).exists():
        shutil.rmtree(staging)
    else:
        staging.replace(path)
    return path


class Edges(Protocol):
    """A CSR of tensors by destination, as in `recsys.graph.schema.Adjacency`."""

    @property
    def indptr(self) -> Any: ...
    @property
    def indices(self) -> Any: ...
    @property
    def weight(self) -> Any: ...
    @property
    def num_src(self) -> int: ...


def neighbours_into_users(relations: Mapping[tuple[str, str, str], Edges]) -> dict[str, sparse.csr_matrix]:
    """(users, sources) edge weights of every relation of a graph that ends in users, by relation name."""
    return {
        relation: sparse.csr_matrix(
            (edges.weight.numpy(), edges.indices.numpy(), edges.indptr.numpy()),
            shape=(len(edges.indptr) - 1, edges.num_src),
        )
        for (_, relation, destination), edges in relations.items()
        if destination == "user"
    }


def _check(contents: Contents) -> None:
    found, log = contents.embeddings, contents.interactions
    sizes = {
        "user vectors": (len(found.users), log.num_users),
        "own states of users": (len(found.user_self), log.num_users),
        "item vectors": (len(found.items), log.num_items),
    }
    sizes |= {f"neighbours {name}": (matrix.shape[0], log.num_users) for name, matrix in contents.neighbours.items()}
    if contents.item_table is not None:
        sizes["rows of the item table"] = (len(contents.item_table), log.num_items)
    for name, (has, wanted) in sizes.items():
        if has != wanted:
            raise UsageError(f"{has} {name} for {wanted} dense ids", "Take all parts from the same phase")
    missing = {relation.name for relation in found.encoder.relations} - set(contents.neighbours)
    if missing:
        raise UsageError(
            f"no neighbours for the relations {sorted(missing)}", "Use neighbours_into_users(graph.relations)"
        )


def _write(folder: Path, contents: Contents) -> None:
    found, log = contents.embeddings, contents.interactions
    for name, values in {
        "user_vectors": found.users,
        "user_self": found.user_self,
        "item_vectors": found.items,
    }.items():
        save_array(folder / f"{name}.npy", values.astype(np.float32, copy=False))
    found.encoder.save(folder)
    relations = sorted(contents.neighbours)
    for place, name in enumerate(relations):
        save_matrix(folder, f"neighbours_{place}", contents.neighbours[name], weighted=True)
    for place, name in enumerate(log.behaviors):
        save_matrix(folder, f"seen_{place}", log.matrix((name,)), weighted=False)
    _write_tables(folder, contents)
    segments = (ALL, *log.behaviors)
    counted = [log.matrix(None if name == ALL else (name,)) for name in segments]
    popularity = np.stack([np.asarray(matrix.sum(axis=0), np.float32).ravel() for matrix in counted])
    save_array(folder / "popularity.npy", popularity)
    facts = {
        "format": FORMAT,
        "target": contents.target,
        "behaviors": list(log.behaviors),
        "seen_behaviors": list(contents.seen_behaviors or (contents.target,)),
        "relations": {name: int(contents.neighbours[name].shape[1]) for name in relations},
        "num_users": log.num_users,
        "num_items": log.num_items,
    }
    save_document(folder / "bundle.json", facts)
    save_document(folder / "index_card.json", dict(contents.index_card))
    save_document(folder / "model_card.json", dict(contents.model_card))
    if contents.index is not None:
        contents.index.save(folder / "index.faiss")


def _write_tables(folder: Path, contents: Contents) -> None:
    log, table = contents.interactions, contents.item_table
    pl.DataFrame({USER_ID: log.users.ids}).write_parquet(folder / "users.parquet")
    items = pl.DataFrame({ITEM_ID: log.items.ids})
    if table is not None:
        items = items.hstack(table.drop([ITEM_ID], strict=False).get_columns())
    available = items[AVAILABLE].fill_null(True).to_numpy() if AVAILABLE in items.columns else np.ones(len(items), bool)
    items.drop(AVAILABLE, strict=False).write_parquet(folder / "items.parquet")
    save_array(folder / "available.npy", np.packbits(available))
    rows = [(node_type, label) for node_type in sorted(contents.labels) for label in contents.labels[node_type]]
    schema = {NODE_TYPE: pl.String, LABEL: pl.String}
    pl.DataFrame(rows, schema=schema, orient="row").write_parquet(folder / "labels.parquet")


def _read(path: Path) -> Bundle:
    facts, card = load_document(path / "bundle.json"), load_document(path / "index_card.json")
    vectors = load_array(path / "item_vectors.npy")
    num_items = facts["num_items"]
    items = pl.read_parquet(path / "items.parquet")
    labels = pl.read_parquet(path / "labels.parquet").partition_by(NODE_TYPE, as_dict=True, maintain_order=True)
    relations, behaviors = facts["relations"].items(), facts["behaviors"]
    index = path / "index.faiss"
    return Bundle(
        path=path,
        users=IdMap(pl.read_parquet(path / "users.parquet")[USER_ID], "user"),
        items=IdMap(items[ITEM_ID], "item"),
        user_vectors=load_array(path / "user_vectors.npy"),
        user_self=load_array(path / "user_self.npy"),
        item_vectors=vectors,
        encoder=EncoderState.load(path),
        neighbours={
            name: load_matrix(path, f"neighbours_{n}", columns, True) for n, (name, columns) in enumerate(relations)
        },
        seen={name: load_matrix(path, f"seen_{n}", num_items, False) for n, name in enumerate(behaviors)},
        seen_behaviors=tuple(facts["seen_behaviors"]),
        target=facts["target"],
        item_table=items,
        labels={str(name): rows[LABEL].to_list() for (name,), rows in labels.items()},
        available=np.unpackbits(load_array(path / "available.npy"), count=num_items).astype(bool),
        popularity=load_array(path / "popularity.npy"),
        segments=(ALL, *behaviors),
        index=ApproximateIndex.load(index, vectors, card["kind"], card["parameters"]) if index.exists() else None,
        index_card=card,
        model_card=load_document(path / "model_card.json"),
    )


def _manifest(folder: Path, address: str) -> dict[str, Any]:
    files = sorted(file.name for file in folder.iterdir() if file.name != _MANIFEST)
    facts = {name: {"sha256": file_sha256(folder / name), "bytes": (folder / name).stat().st_size} for name in files}
    return {"format": FORMAT, "address": address, "files": facts, "versions": versions()}


def _address(folder: Path) -> str:
    """Hash of what a bundle answers from: timings on the cards, and the answers themselves, do not move it."""
    lines = []
    for file in sorted(folder.iterdir()):
        if file.name in _CARDS:
            card = {key: value for key, value in load_document(file).items() if key != "measured"}
            lines.append(f"{file.name}\0{text_sha256(repr(sorted(card.items())))}")
        elif file.name not in _UNADDRESSED:
            lines.append(f"{file.name}\0{file_sha256(file)}")
    return text_sha256("\n".join(lines))
