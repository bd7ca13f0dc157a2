"""Items that nobody took: placed by what they are, beside the others of a bundle."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from recsys.bundle.bundle import Bundle
from recsys.bundle.parts.cold_items import ColdItems
from recsys.bundle.parts.popularity import Popularity
from recsys.cold_items.item_map import ItemFeature, evened, known_values
from recsys.core.config import IndexConfig
from recsys.core.errors import DataError, UsageError
from recsys.core.features import FeatureColumn
from recsys.lookup.lookup import Lookup
from recsys.releases.publish import write_bundle
from recsys.search.tuning import tune
from worlds import GENRES, ITEMS, LAYERS, make_contents, make_contents_with_genres, write_world


@pytest.fixture(scope="module")
def placed(tmp_path_factory) -> Bundle:
    """The bundle with genres; nobody changes it."""
    return Bundle.load(write_world(tmp_path_factory.mktemp("placed"), make_contents_with_genres()))


def new_table(**columns):
    rows = {
        "item_id": ["n1", "n2"],
        "title": ["First", "Second"],
        "genres": ["comedy|sci-fi", "drama"],
    }
    return pl.DataFrame(rows | columns)


def longer(placed, folder, table=None):
    new = placed.read_new_items(new_table() if table is None else table)
    return Bundle.load(write_bundle(folder, placed.append_items(new))), new


def test_the_contents_of_a_bundle_are_what_it_was_written_from(placed, bundle, tmp_path):
    for one in (placed, bundle):
        assert write_bundle(tmp_path, one).name == one.name


def test_vectors_by_hand(placed):
    vectors = placed.read_new_items(new_table()).vectors
    item_map = placed.item_map
    weights = item_map.weights["genres"]
    for row, values in enumerate([[0, 2], [1]]):
        raw = item_map.mean + weights[values].sum(axis=0)
        assert np.allclose(vectors[row], raw * np.sqrt(0.7 / np.linalg.norm(raw)), atol=1e-6)
    states = item_map.layer_states(vectors)
    assert states.shape == (LAYERS, 2, vectors.shape[1])
    assert np.allclose(states[1], vectors @ item_map.states[1], atol=1e-5)


def test_numbers_place_items_too(placed, tmp_path):
    column = FeatureColumn.fit(pl.Series("text", [[1.0, 0.0], [-1.0, 0.0]]))
    weights = np.ones((2, placed.item_map.mean.shape[0]), np.float32)
    item_map = replace(
        placed.item_map,
        features=(
            *placed.item_map.features,
            ItemFeature("text", "feature", numbers=column.document()),
        ),
        weights={**placed.item_map.weights, "text": weights},
    )
    told = Bundle.load(write_bundle(tmp_path, placed.with_parts(ColdItems(item_map))))
    new = told.read_new_items(new_table(genres=["comedy", None], text=[None, [3.0, 0.5]]))
    raw = item_map.mean + 3.5 * weights[0]
    assert np.allclose(
        new.vectors[1], raw * np.sqrt(item_map.length / np.linalg.norm(raw)), atol=1e-5
    )
    silent = told.read_new_items(new_table(genres=[None, None]))
    assert (len(silent.table), silent.drops.total()) == (0, 2)


def test_new_items_are_recommended_and_the_others_stay(placed, tmp_path):
    found, new = longer(placed, tmp_path)
    assert (len(found.items), found.cold_items) == (ITEMS + 2, 2)
    assert np.array_equal(found.item_vectors[:ITEMS], placed.item_vectors)
    [before], [after] = (
        Lookup(one).recommend(["u04"], 42, exclude_seen=False) for one in (placed, found)
    )
    assert [one for one in after["items"] if not one["id"].startswith("n")] != []
    scores = {one["id"]: one["score"] for one in after["items"]}
    assert scores["n2"] == pytest.approx(float(found.user_vectors[4] @ new.vectors[1]), abs=1e-6)
    assert {one["id"]: one["score"] for one in before["items"]}.items() <= scores.items()
    titles = {one["id"]: one["title"] for one in after["items"]}
    assert titles["n1"] == "First"
    assert found.popularity[:, ITEMS:].sum() == 0 and found.available[ITEMS:].all()


def test_nobody_took_new_items_of_late(placed, tmp_path):
    recent = replace(placed.parts[Popularity], recent=np.ones(ITEMS, np.float32))
    late = Bundle.load(write_bundle(tmp_path / "late", placed.with_parts(recent)))
    found, _ = longer(late, tmp_path / "longer")
    assert found.popular.tolist() == [1.0] * ITEMS + [0.0] * 2


def test_a_history_may_hold_new_items(placed, tmp_path):
    found, _ = longer(placed, tmp_path)
    lookup = Lookup(found)
    [answer] = lookup.recommend(histories=[["n1"]], k=5)
    assert answer["source"] == "fold_in" and "n1" not in [one["id"] for one in answer["items"]]
    assert not np.allclose(lookup.fold_in(["n1"]), lookup.fold_in(["n2"]), atol=1e-3)
    before = Lookup(placed).fold_in(["i03"])
    assert np.allclose(lookup.fold_in(["i03"]), before, atol=1e-6)
    why = lookup.explain(None, "n2", history=["n1", "i03"])
    assert sum(one["share"] for one in why["parts"]) + why["rest"] == pytest.approx(
        why["score"], abs=1e-5
    )


def test_filters_and_availability_hold_for_new_items(placed, tmp_path):
    found, _ = longer(placed, tmp_path, new_table(available=[True, False]))
    lookup = Lookup(found)
    [answer] = lookup.recommend(["u04"], 50, filters={"genres": ["comedy", "drama"]})
    ids = [one["id"] for one in answer["items"]]
    assert "n1" in ids and "n2" not in ids


def test_the_same_table_again_changes_nothing(placed, tmp_path):
    found, _ = longer(placed, tmp_path)
    again = found.read_new_items(new_table())
    assert len(again.table) == 0 and again.drops == {"item already there": 2}
    assert write_bundle(tmp_path, found.append_items(again)).name == found.name
    more, _ = longer(
        found, tmp_path, new_table(item_id=["n1", "n3"], genres=["comedy|sci-fi", "comedy"])
    )
    assert more.items.ids.to_list()[ITEMS:] == ["n1", "n2", "n3"] and more.cold_items == 3


def test_what_is_not_known_is_counted_or_refused(placed):
    new = placed.read_new_items(new_table(genres=["comedy|western", "western"]))
    assert new.table["item_id"].to_list() == ["n1"]
    assert new.drops == {"item without a known value": 1} and new.unknown == {"genres": 2}
    with pytest.raises(DataError, match=r"unknown column 'genre'.*'genres'"):
        placed.read_new_items(new_table().rename({"genres": "genre"}))
    with pytest.raises(DataError, match="names 'n1' more than once"):
        placed.read_new_items(new_table(item_id=["n1", "n1"]))
    with pytest.raises(DataError, match="item 'i03' is already there: it was trained"):
        placed.read_new_items(new_table(item_id=["n1", "i03"]))
    with pytest.raises(UsageError, match=r"does not know what its items are.*graph\.attributes"):
        make_contents().bundle().read_new_items(new_table())


def test_an_item_with_other_values_is_refused(placed, tmp_path):
    found, _ = longer(placed, tmp_path)
    with pytest.raises(
        DataError, match="item 'n1' is already there: it was added with other values"
    ):
        found.read_new_items(new_table(genres=["drama", "drama"]))


def test_an_approximate_index_holds_new_items_too(tmp_path):
    contents = make_contents_with_genres()
    popularity = contents.interactions.popularity("buy")
    config = IndexConfig(kind="hnsw", target_recall=0.9, k=5)
    tuned = tune(
        contents.embeddings.items, contents.embeddings.users, config, popularity=popularity
    )
    indexed = replace(contents, index=tuned.index, index_card=tuned.card)
    placed = Bundle.load(write_world(tmp_path, indexed))
    found, _ = longer(placed, tmp_path)
    assert found.index.index.ntotal == ITEMS + 2
    assert found.index_card["recall_lower_bound"] >= 0.9
    [answer] = Lookup(found).recommend(["u04"], ITEMS + 2, exclude_seen=False)
    assert {"n1", "n2"} <= {one["id"] for one in answer["items"]}


def test_lengths_are_evened_half_way():
    found = evened(np.array([[4.0, 0.0], [0.0, 1.0], [0.0, 0.0]], np.float32), 1.0)
    assert np.allclose(found, [[2.0, 0.0], [0.0, 1.0], [0.0, 0.0]])


def test_values_of_a_column():
    matrix, unknown = known_values(pl.Series(["sci-fi| comedy", None, "western", ""]), GENRES, "|")
    assert (
        matrix.toarray().tolist() == [[1, 0, 1], [0, 0, 0], [0, 0, 0], [0, 0, 0]] and unknown == 1
    )
    binned, beside = known_values(
        pl.Series([1.5, 7.0, float("nan"), None]), ("1 to 3", "3 to 8"), None
    )
    assert binned.toarray().tolist() == [[1, 0], [0, 1], [0, 0], [0, 0]] and beside == 0
    listed, _ = known_values(pl.Series([["drama", "drama"], []]), GENRES, None)
    assert listed.toarray().tolist() == [[0, 1, 0], [0, 0, 0]]


def test_a_column_that_the_table_lacks_is_null_whatever_its_type(tmp_path):
    world = make_contents_with_genres()
    tags = pl.Series("tags", [["a", "b"]] * ITEMS)
    world = replace(world, item_table=world.item_table.with_columns(tags))
    new = world.bundle().read_new_items(new_table())
    assert new.table["tags"].dtype == tags.dtype and new.table["tags"].null_count() == 2
