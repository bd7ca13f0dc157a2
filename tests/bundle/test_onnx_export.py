"""An exported encoder, fed by its own documents, gives the vector of a visitor and the lists."""

import json

import numpy as np
import pytest

from recsys.bundle.onnx_export import export_onnx
from recsys.core.errors import UsageError
from recsys.lookup.lookup import Event

pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


def places(numbers):
    """One user with these sources, and a place that is filled up."""
    return np.array([[*numbers, -1]], np.int64)


def test_a_history_becomes_the_vector_of_a_visitor(bundle, lookup, tmp_path):
    card = export_onnx(bundle, tmp_path / "encoder")
    folder = tmp_path / "encoder"
    assert json.loads((folder / "onnx.json").read_text(encoding="utf-8")) == card
    assert (card["bundle"], card["width"]) == (bundle.name, 8)
    assert card["relations"]["rev_buy"]["behavior"] == "buy"
    items = json.loads((folder / "items.json").read_text(encoding="utf-8"))
    countries = json.loads((folder / "labels.json").read_text(encoding="utf-8"))["user:country"]
    rows = {
        "rev_buy": places([items.index("i03"), items.index("i11")]),
        "rev_view": places([items.index("i20")]),
        "rev_country": places([countries.index("fr")]),
    }
    feeds = {}
    for name, index in rows.items():
        feeds[f"{name}_index"] = index
        feeds[f"{name}_weight"] = np.full(
            index.shape, card["relations"][name]["weight"], np.float32
        )
    session = onnxruntime.InferenceSession(folder / "encoder.onnx")
    [vectors] = session.run(None, feeds)
    history = [Event("i03", "buy"), Event("i11", "buy"), Event("i20", "view")]
    expected = lookup.fold_in(history, {"country": "fr"})
    assert np.abs(vectors[0] - expected).max() < 1e-5


def test_other_files_are_safe(bundle, tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(UsageError, match="holds other files"):
        export_onnx(bundle, tmp_path)
