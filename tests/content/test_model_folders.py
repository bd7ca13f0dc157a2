"""Models on disk, tiny, read by the libraries themselves."""

from pathlib import Path

import numpy as np
import pytest

from recsys.content.encoder import encoder_of
from recsys.core.config import ImageConfig, TextConfig
from recsys.core.errors import DataError, MachineError

pytest.importorskip("onnx")
from tiny_models import VECTORS, WORDS, make_model2vec, make_onnx_picture, make_onnx_text

TEXTS = ["red lamp", "blue mug mug", "lamp"]


def expected(text: str) -> np.ndarray:
    rows = [VECTORS[WORDS.index(word)] for word in text.split()]
    return np.mean(rows, axis=0)


@pytest.mark.parametrize("make", [make_model2vec, make_onnx_text])
def test_a_text_is_the_mean_of_its_words(make, tmp_path: Path) -> None:
    config = TextConfig(columns=["title"], encoder="folder", folder=str(make(tmp_path / "model")))
    encoder = encoder_of(config)
    vectors = encoder.encode(TEXTS)
    assert np.allclose(vectors, [expected(text) for text in TEXTS], atol=1e-5)


def test_a_model_is_known_by_its_content(tmp_path: Path) -> None:
    first, copy = make_onnx_text(tmp_path / "a"), make_onnx_text(tmp_path / "b")
    configs = [
        TextConfig(columns=["title"], encoder="folder", folder=str(folder))
        for folder in (first, copy)
    ]
    assert encoder_of(configs[0]).identity == encoder_of(configs[1]).identity
    tokens = (copy / "tokenizer.json").read_text().replace("mug", "cup")
    (copy / "tokenizer.json").write_text(tokens)
    assert encoder_of(configs[0]).identity != encoder_of(configs[1]).identity


def test_a_picture_is_scaled_as_the_model_was_trained(tmp_path: Path) -> None:
    from PIL import Image

    folder = make_onnx_picture(tmp_path / "model")
    for name, colour in (("red", (255, 0, 0)), ("grey", (128, 128, 128))):
        Image.new("RGB", (30, 20), colour).save(tmp_path / f"{name}.png")
    config = ImageConfig(column="picture", encoder="folder", folder=str(folder))
    paths = [str(tmp_path / f"{name}.png") for name in ("red", "grey")]
    vectors = encoder_of(config).encode(paths)
    # (value / 255 − ½) / ½
    assert np.allclose(vectors, [[1, -1, -1], [0.0039] * 3], atol=1e-3)


def test_folders_that_hold_no_model(tmp_path: Path) -> None:
    def asked(folder: Path) -> None:
        encoder_of(TextConfig(columns=["title"], encoder="folder", folder=str(folder))).encode(
            ["a"]
        )

    with pytest.raises(DataError, match="is no folder"):
        asked(tmp_path / "nowhere")
    with pytest.raises(DataError, match="holds no text model"):
        asked(tmp_path)
    broken = make_onnx_text(tmp_path / "broken")
    (broken / "model.onnx").write_bytes(b"no model")
    with pytest.raises(DataError, match="cannot read the ONNX model"):
        asked(broken)
    picture = ImageConfig(column="picture", encoder="folder", folder=str(tmp_path))
    with pytest.raises(DataError, match="holds no picture model"):
        encoder_of(picture)


def test_a_missing_package_names_its_extra(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "modules.json").write_text("[]")
    monkeypatch.setattr("recsys.content.model_folder.find_spec", lambda name: None)
    config = TextConfig(columns=["title"], encoder="folder", folder=str(tmp_path))
    with pytest.raises(MachineError, match=r'pip install "recsys\[sentence-transformers\]"'):
        encoder_of(config)
