"""Bundles: whole, named by content, and noticing every change."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from recsys.bundle.bundle import Bundle
from recsys.bundle.files import check_files
from recsys.bundle.neighbours import neighbours_into_users
from recsys.bundle.parts.scoring import Scoring
from recsys.core.config import IndexConfig
from recsys.core.errors import DataError, UsageError
from recsys.core.tables import AVAILABLE
from recsys.graph.schema import Adjacency
from recsys.releases import golden
from recsys.search.popularity_boost import boosted_queries
from recsys.search.tuning import tune
from worlds import write_world


def test_what_was_written_is_read(bundle, contents):
    assert bundle.name == bundle.path.name and len(bundle.name) == 12
    assert np.array_equal(bundle.user_vectors, contents.embeddings.users)
    assert np.array_equal(bundle.item_vectors, contents.embeddings.items)
    assert np.array_equal(bundle.user_self, contents.embeddings.user_self)
    assert isinstance(bundle.user_vectors, np.memmap)
    assert bundle.users.ids.to_list() == contents.interactions.users.ids.to_list()
    for name, matrix in contents.neighbours.items():
        assert (bundle.neighbours[name] != matrix).nnz == 0
    for name in ("view", "buy"):
        assert (bundle.seen[name] != contents.interactions.matrix((name,))).nnz == 0
    assert np.flatnonzero(~bundle.available).tolist() == [7]
    assert bundle.labels == {"user:country": ["de", "fr", "it"]}
    assert bundle.popularity[1:].sum(axis=1).tolist() == [
        bundle.seen[n].nnz for n in bundle.segments[1:]
    ]
    assert (bundle.target, bundle.seen_behaviors, bundle.index) == ("buy", ("buy",), None)
    assert AVAILABLE not in bundle.item_table.columns


def test_same_content_same_name_and_the_old_one_stays(write, tmp_path):
    first = write()
    before = (first / "manifest.json").stat().st_mtime_ns
    assert write(model_card={"family": "degree_prior", "measured": {"seconds": 3}}) == first
    assert (first / "manifest.json").stat().st_mtime_ns == before
    assert [one.name for one in (tmp_path / "bundles").iterdir()] == [first.name]


def test_same_content_same_bytes_elsewhere(contents, tmp_path):
    first, second = (write_world(tmp_path / name, contents) for name in ("a", "b"))
    assert first.name == second.name
    manifests = [json.loads((path / "manifest.json").read_text()) for path in (first, second)]
    times = [manifest.pop("written") for manifest in manifests]
    assert manifests[0] == manifests[1] and times[0] < times[1]


@pytest.mark.parametrize(
    "change",
    [
        {"model_card": {"family": "other"}},
        {"seen_behaviors": ("view",)},
        {"target": "view"},
        {"labels": {}},
    ],
)
def test_other_content_other_name(write, change):
    assert write().name != write(**change).name


def test_no_pickle_anywhere(write):
    for file in write().glob("*.npy"):
        np.load(file, allow_pickle=False)
    assert {file.suffix for file in write().iterdir()} == {
        ".npy",
        ".json",
        ".parquet",
        ".safetensors",
    }


def test_every_file_is_guarded(write):
    """Whichever file is changed by one byte, cut short or taken away: loading says which."""
    path = write()
    for file in sorted(path.iterdir()):
        if file.name == "manifest.json":
            continue
        whole = file.read_bytes()
        changed = bytearray(whole)
        changed[len(whole) // 2] ^= 1
        file.write_bytes(bytes(changed))
        with pytest.raises(DataError, match=file.name.replace(".", r"\.")):
            Bundle.load(path)
        file.write_bytes(whole[:-1])
        with pytest.raises(DataError, match="cut short"):
            Bundle.load(path, verify=False)
        file.unlink()
        with pytest.raises(DataError, match=f"lacks {file.name}"):
            Bundle.load(path, verify=False)
        file.write_bytes(whole)
    Bundle.load(path)


def test_a_broken_manifest(write, tmp_path):
    path = write()
    manifest = path / "manifest.json"
    document = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(document | {"format": 99}))
    with pytest.raises(DataError, match="format 99"):
        Bundle.load(path)
    manifest.write_text("{")
    with pytest.raises(DataError, match="cannot be read: JSONDecodeError"):
        Bundle.load(path)
    with pytest.raises(DataError, match="not a bundle"):
        Bundle.load(tmp_path)


def test_golden_answers_are_replayed(write):
    path = write()
    document = json.loads((path / "golden.json").read_text())
    assert len(document["requests"]) >= 64
    assert sum("history" in one for one in document["requests"]) == 16
    bundle = Bundle.load(path, verify=False)
    golden.replay(bundle, document)
    document["requests"][3]["scores"][0] += 0.01
    with pytest.raises(DataError, match=r"answers .*'user'"):
        golden.replay(bundle, document)


def test_golden_notices_a_vector_that_moved(bundle):
    document = golden.record(bundle)
    moved = np.array(bundle.boosted_vectors)
    moved[[3, 4]] = moved[[4, 3]]
    with pytest.raises(DataError, match="computes otherwise"):
        scoring = replace(bundle.parts[Scoring], boosted_vectors=moved)
        golden.replay(Bundle(bundle.parts.replaced(scoring), bundle.folder), document)


def test_agreement_by_hand():
    ids, scores = ["a", "b", "c"], [3.0, 2.00001, 2.0]
    assert golden.agree(ids, scores, ["a", "c", "b"], [3.0, 2.0, 2.0])  # a swap of near-equals
    assert golden.agree(
        ids, scores, ["a", "b", "d"], [3.0, 2.00001, 2.0]
    )  # a near-equal at the end
    assert not golden.agree(ids, scores, ["b", "a", "c"], scores)
    assert not golden.agree(ids, scores, ids, [3.0, 2.00001, 1.9])
    assert not golden.agree(ids, scores, ids[:2], scores[:2])
    assert golden.agree([], [], [], [])


def test_an_approximate_index_travels_along(write, contents):
    vectors, queries = contents.embeddings.items, contents.embeddings.users
    popularity = contents.interactions.popularity(contents.target)
    tuned = tune(vectors, queries, IndexConfig(kind="ivf", k=5), popularity=popularity)
    path = write(index=tuned.index, index_card=tuned.card)
    bundle = Bundle.load(path)
    assert bundle.index.kind == "ivf"
    assert bundle.index_card["parameters"] == tuned.card["parameters"]
    queries = boosted_queries(queries, 0.5, bundle.boost_unit)
    assert bundle.boosted_index.parameters == tuned.card["dial"]["parameters"]
    before, after = (
        replace(tuned.index, parameters=bundle.boosted_index.parameters).search(queries, 5),
        bundle.boosted_index.search(queries, 5),
    )
    assert before.items.tolist() == after.items.tolist()
    plain = bundle.index.search(queries[:, :-1], 5)
    assert (
        plain.items.tolist()
        == tuned.index.search(boosted_queries(queries[:, :-1], 0.0, 1.0), 5).items.tolist()
    )


def test_parts_of_different_phases_are_refused(contents, tmp_path):
    few = replace(contents, item_table=pl.DataFrame({"title": ["a"]}))
    with pytest.raises(UsageError, match="1 rows of the item table for 40"):
        write_world(tmp_path, few)
    with pytest.raises(UsageError, match=r"no neighbours for the relations \['rev_view'\]"):
        write_world(
            tmp_path,
            replace(
                contents,
                neighbours={k: v for k, v in contents.neighbours.items() if k != "rev_view"},
            ),
        )
    assert list(tmp_path.iterdir()) == []


def test_a_killed_writer_leaves_nothing_visible(contents, tmp_path, monkeypatch):
    def stop(bundle: Bundle) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(golden, "record", stop)
    with pytest.raises(KeyboardInterrupt):
        write_world(tmp_path / "bundles", contents)
    assert list((tmp_path / "bundles").iterdir()) == []


def test_neighbours_come_from_the_graph():
    import torch

    edges = Adjacency(
        torch.tensor([0, 1, 3]), torch.tensor([2, 0, 1]), torch.tensor([1.0, 2.0, 3.0]), 4
    )
    found = neighbours_into_users(
        {("item", "rev_buy", "user"): edges, ("user", "buy", "item"): edges}
    )
    assert list(found) == ["rev_buy"]
    assert found["rev_buy"].toarray().tolist() == [[0, 0, 1, 0], [2, 3, 0, 0]]


def test_checks_without_hashes_read_no_content(write, monkeypatch):
    path = write()
    monkeypatch.setattr("recsys.bundle.files.file_sha256", lambda file: pytest.fail(f"read {file}"))
    check_files(path, hashes=False)
    assert isinstance(path, Path) and sparse.issparse(Bundle.load(path, verify=False).seen["buy"])
