"""Texts and pictures as tables hold them: joined, cut, missing, gigantic."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recsys.content.features import load_contents, read_contents, save_contents
from recsys.content.nearest import nearest_content
from recsys.content.sources import read_inputs
from recsys.content.texts import joined_texts
from recsys.core.config import DataConfig, TextConfig, build_config
from recsys.core.errors import ConfigError
from recsys.core.tables import ITEM_ID

TABLE = pl.DataFrame(
    {
        ITEM_ID: ["a", "b", "c", "d"],
        "title": [" Lamp ", None, "", "Cafe\u0301"],
        "tags": [["red", "big"], [], None, ["x"]],
    }
)


def test_columns_are_joined_and_what_is_missing_is_counted() -> None:
    texts, drops = joined_texts(TABLE, ["title", "tags"], 6)
    assert texts == ["Lamp\nr", "", "", "Café\nx"]
    assert drops == {"text cut": 1, "item without content": 2}


def test_a_text_of_10_megabytes_is_cut() -> None:
    table = pl.DataFrame({"title": ["lamp " * 2_000_000]})
    texts, drops = joined_texts(table, ["title"], 8000)
    assert len(texts[0]) == 8000 and drops["text cut"] == 1


def test_another_table_is_joined_by_the_id(tmp_path: Path) -> None:
    other = pl.DataFrame({"item_id": ["d", "a", "a"], "words": ["of d", "of a", "again"]})
    other.write_csv(tmp_path / "words.csv")
    config = TextConfig(columns=["words"], table=str(tmp_path / "words.csv"))
    rows, drops = read_inputs(config, DataConfig(), TABLE)
    assert rows["content"].to_list() == ["of a", "", "", "of d"]
    assert drops["item without content"] == 2


def test_a_column_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match=r"'titel'.*title"):
        read_inputs(TextConfig(columns=["titel"]), DataConfig(), TABLE)


def test_pictures_that_cannot_be_used_are_counted(tmp_path: Path) -> None:
    (tmp_path / "small.png").write_bytes(b"1")
    (tmp_path / "large.png").write_bytes(b"12345")
    names = ["small.png", "large.png", "gone.png", None]
    pl.DataFrame({"item_id": ["a", "b", "c", "d"], "file": names}).write_parquet(
        tmp_path / "pictures.parquet"
    )
    config = build_config(
        {
            "features": {
                "image": [
                    {
                        "column": "file",
                        "table": str(tmp_path / "pictures.parquet"),
                        "encoder": "folder",
                        "folder": "model",
                        "max_bytes": 4,
                    }
                ]
            }
        }
    ).features.image[0]
    rows, drops = read_inputs(config, DataConfig(), TABLE)
    assert rows["content"].to_list() == [str(tmp_path / "small.png"), "", "", ""]
    assert drops == {
        "picture too large": 1,
        "picture not there": 1,
        "item without content": 1,
    }


def test_an_encoder_must_be_named_with_what_it_needs() -> None:
    def features(**keys: object) -> None:
        build_config({"features": {"text": [{"columns": ["title"]} | keys]}})

    for keys, message in (
        ({"encoder": "folder"}, "needs folder"),
        ({"encoder": "endpoint"}, "needs url"),
        ({"folder": "model"}, "Set encoder = 'folder'"),
        ({"encoder": "endpoint", "url": "ftp://a"}, "no http address"),
        ({"encoder": "endpoint", "url": "https://me:secret@a/v1"}, "holds a password"),
    ):
        with pytest.raises(ConfigError, match=message) as error:
            features(**keys)
        assert "secret" not in str(error.value)
    with pytest.raises(ConfigError, match="encoder"):
        build_config({"features": {"image": [{"column": "picture"}]}})


def test_what_was_read_is_read_back(tmp_path: Path) -> None:
    features = build_config({"features": {"text": [{"columns": ["title", "tags"]}]}}).features
    contents, _ = read_contents(features, DataConfig(), TABLE)
    save_contents(contents, tmp_path)
    [read] = load_contents(tmp_path, features)
    assert read.of(pl.Series(["d", "nobody", "a"])).to_list() == ["Café\nx", "", "Lamp\nred big"]


def test_the_nearest_by_a_naive_loop() -> None:
    draw = np.random.default_rng(0)
    vectors = draw.normal(size=(30, 5)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[4] = 0
    table = nearest_content([vectors], 3).toarray()
    for item in range(30):
        cosines = vectors @ vectors[item]
        cosines[item] = -1
        best = [other for other in np.argsort(-cosines)[:3] if cosines[other] > 0]
        expected = np.zeros(30)
        expected[best] = cosines[best]
        assert np.allclose(table[item], expected, atol=1e-6)


def test_pictures_of_a_log_are_encoded_and_placed(tmp_path: Path) -> None:
    """From files to vectors of a phase's items, and of a new one."""
    pytest.importorskip("onnx")
    from PIL import Image

    from tiny_models import make_onnx_picture

    for name, colour in (("red", (255, 0, 0)), ("blue", (0, 0, 255))):
        Image.new("RGB", (9, 9), colour).save(tmp_path / f"{name}.png")
    items = pl.DataFrame({ITEM_ID: ["a", "b", "c"], "file": ["red.png", "blue.png", None]})
    items.write_parquet(tmp_path / "items.parquet")
    model = make_onnx_picture(tmp_path / "model")
    image = {"column": "file", "encoder": "folder", "folder": str(model)}
    cache = str(tmp_path / "cache")
    features = build_config({"features": {"image": [image], "cache": cache}}).features
    [content], drops = read_contents(
        features, DataConfig(items=str(tmp_path / "items.parquet")), items
    )
    assert drops == {"image:file: item without content": 1}
    fitted = content.fitted(pl.Series(["c", "b", "a"]), 0)
    assert fitted.vectors.shape == (3, 3) and not fitted.vectors[0].any()
    new = pl.DataFrame({ITEM_ID: ["d", "e"], "file": [str(tmp_path / "red.png"), "gone.png"]})
    vectors = fitted.encoding.encode(fitted.encoding.inputs_of(new))
    assert np.allclose(vectors[0], fitted.vectors[2]) and not vectors[1].any()
