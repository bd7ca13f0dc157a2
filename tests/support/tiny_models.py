"""Models as small as can be, made on the spot and read by the libraries that users have."""

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

WORDS = ("[PAD]", "[UNK]", "red", "blue", "lamp", "mug")
VECTORS = np.random.default_rng(0).normal(size=(len(WORDS), 4)).astype(np.float32)


def tokenizer() -> Tokenizer:
    """Words of WORDS; all others are unknown."""
    made = Tokenizer(WordLevel({word: place for place, word in enumerate(WORDS)}, "[UNK]"))
    made.pre_tokenizer = Whitespace()
    return made


def make_model2vec(folder: Path) -> Path:
    """Static embeddings, written by model2vec itself."""
    from model2vec import StaticModel

    StaticModel(VECTORS, tokenizer(), config={"normalize": False}).save_pretrained(str(folder))
    return folder


def make_onnx_text(folder: Path) -> Path:
    """The state of a token is its vector: (n, tokens) → (n, tokens, 4)."""
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["n", "t"])
    mask = helper.make_tensor_value_info("attention_mask", TensorProto.INT64, ["n", "t"])
    states = helper.make_tensor_value_info("states", TensorProto.FLOAT, ["n", "t", 4])
    gather = helper.make_node("Gather", ["vectors", "input_ids"], ["states"])
    table = numpy_helper.from_array(VECTORS, "vectors")
    graph = helper.make_graph([gather], "text", [ids, mask], [states], [table])
    _save(graph, folder)
    tokenizer().save(str(folder / "tokenizer.json"))
    return folder


def make_onnx_picture(folder: Path, size: int = 8) -> Path:
    """The mean of each channel: (n, 3, size, size) → (n, 3)."""
    pixels = helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, ["n", 3, size, size])
    means = helper.make_tensor_value_info("means", TensorProto.FLOAT, ["n", 3])
    axes = numpy_helper.from_array(np.array([2, 3], np.int64), "axes")
    mean = helper.make_node("ReduceMean", ["pixel_values", "axes"], ["means"], keepdims=0)
    _save(helper.make_graph([mean], "picture", [pixels], [means], [axes]), folder)
    preprocessing = {"size": size, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessing))
    return folder


def _save(graph: onnx.GraphProto, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), folder / "model.onnx")
