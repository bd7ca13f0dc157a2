"""Exported vectors: read back by others, their inner products are the scores."""

import json

import faiss
import numpy as np
import polars as pl
import pytest

from recsys.bundle.export import export
from recsys.core.errors import UsageError


@pytest.fixture(params=["parquet", "npy", "faiss"])
def exported(request, bundle, tmp_path):
    return export(bundle, request.param, tmp_path / "out"), tmp_path / "out"


def read(card, folder):
    """User ids, user vectors, item ids, item vectors, availability: as somebody without our code
    would.
    """
    if card["format"] == "parquet":
        users, items = (pl.read_parquet(folder / f"{name}.parquet") for name in ("users", "items"))
        columns = (
            users["user_id"],
            users["vector"].to_numpy(),
            items["item_id"],
            items["vector"].to_numpy(),
        )
        return *columns, items["available"].to_numpy()
    ids = [
        json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("users", "items")
    ]
    if card["format"] == "npy":
        items = np.load(folder / "items.npy")
    else:
        index = faiss.read_index(str(folder / "items.faiss"))
        items = index.reconstruct_n(0, index.ntotal)
    return ids[0], np.load(folder / "users.npy"), ids[1], items, np.load(folder / "available.npy")


def test_inner_products_are_the_scores(exported, lookup):
    users, user_vectors, items, item_vectors, available = read(*exported)
    [answer] = lookup.recommend([users[4]], 40, exclude_seen=False)
    scores = item_vectors @ user_vectors[4]
    order = [one for one in np.argsort(-scores, kind="stable") if available[one]]
    assert [items[int(one)] for one in order] == [item["id"] for item in answer["items"]]
    assert scores[order] == pytest.approx([item["score"] for item in answer["items"]], abs=1e-5)
    card, folder = exported
    assert (card["users"], card["items"], card["width"]) == (
        len(users),
        len(items),
        item_vectors.shape[1],
    )
    assert json.loads((folder / "export.json").read_text(encoding="utf-8")) == card


def test_a_second_export_takes_its_place_and_other_files_are_safe(bundle, tmp_path):
    export(bundle, "npy", tmp_path / "out")
    export(bundle, "parquet", tmp_path / "out")
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        "export.json",
        "items.parquet",
        "users.parquet",
    ]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(UsageError, match="holds other files"):
        export(bundle, "npy", tmp_path / "mine")
    with pytest.raises(UsageError, match=r"--format parket.*'parquet'"):
        export(bundle, "parket", tmp_path / "new")
