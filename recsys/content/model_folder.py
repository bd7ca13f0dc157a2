"""Text models as they lie on disk: model2vec, ONNX with a tokenizer, sentence-transformers."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from recsys.core.arrays import Float32Array
from recsys.core.artefacts import content_sha256
from recsys.core.config import TextConfig
from recsys.core.errors import DataError, MachineError

_ONNX = ("model.onnx", "onnx/model.onnx")
_LONGEST = 512  # tokens


def text_model(config: TextConfig) -> "FolderModel":
    """The model in a folder, by what lies in it.

    Raises DataError for a folder that holds no known model, MachineError where the package that reads
    it is not installed.
    """
    folder = Path(str(config.folder))
    if not folder.is_dir():
        raise DataError(
            f"features.folder = {str(folder)!r} is no folder", "Name that of a model on disk"
        )
    if _is_model2vec(folder):
        require_package("model2vec", "texts")
        return Model2Vec(folder)
    if onnx_file(folder) is not None and (folder / "tokenizer.json").exists():
        require_package("onnxruntime", "texts")
        require_package("tokenizers", "texts")
        return OnnxText(folder)
    if (folder / "modules.json").exists():
        require_package("sentence_transformers", "sentence-transformers")
        return SentenceTransformer(folder)
    raise DataError(
        f"the folder {str(folder)!r} holds no text model that is known",
        "It may hold one of model2vec (model.safetensors, tokenizer.json, config.json), ONNX "
        "(model.onnx, tokenizer.json) or sentence-transformers (modules.json)",
    )


@dataclass(frozen=True)
class FolderModel(ABC):
    """A model in a folder, known by its content: a copy elsewhere has the same vectors."""

    folder: Path

    @cached_property
    def identity(self) -> str:
        return f"{type(self).__name__} {content_sha256(self.folder)}"

    @property
    def title(self) -> str:
        return f"the model in {self.folder.name}"

    @abstractmethod
    def encode(self, inputs: Sequence[str]) -> Float32Array:
        """(n, d)."""


class Model2Vec(FolderModel):
    """Static embeddings: a vector for each token, averaged."""

    def encode(self, inputs: Sequence[str]) -> Float32Array:
        vectors = self._model.encode(list(inputs), show_progress_bar=False)
        return np.asarray(vectors, np.float32)

    @cached_property
    def _model(self) -> Any:
        from model2vec import StaticModel

        return StaticModel.from_pretrained(str(self.folder))


class SentenceTransformer(FolderModel):
    """A transformer with its pooling, on the CPU."""

    def encode(self, inputs: Sequence[str]) -> Float32Array:
        vectors = self._model.encode(list(inputs), show_progress_bar=False)
        return np.asarray(vectors, np.float32)

    @cached_property
    def _model(self) -> Any:
        import sentence_transformers

        return sentence_transformers.SentenceTransformer(
            str(self.folder), device="cpu", local_files_only=True
        )


class OnnxText(FolderModel):
    """An exported transformer: tokens in, states of tokens or one vector out.

    States (n, tokens, d) are averaged over the tokens that are no padding, as most sentence models
    are trained; an output (n, d) is taken as it is.
    """

    def encode(self, inputs: Sequence[str]) -> Float32Array:
        encodings = self._tokenizer.encode_batch(list(inputs))
        mask = np.array([encoding.attention_mask for encoding in encodings], np.int64)
        fed = {
            "input_ids": np.array([encoding.ids for encoding in encodings], np.int64),
            "attention_mask": mask,
            "token_type_ids": np.array([encoding.type_ids for encoding in encodings], np.int64),
        }
        names = [wanted.name for wanted in self._session.get_inputs()]
        states = self._session.run(None, {name: fed[name] for name in names})[0]
        return np.asarray(_averaged(states, mask), np.float32)

    @cached_property
    def _session(self) -> Any:
        session = onnx_session(self.folder)
        for wanted in session.get_inputs():
            if wanted.name not in ("input_ids", "attention_mask", "token_type_ids"):
                raise DataError(
                    f"the ONNX model in {str(self.folder)!r} asks for {wanted.name!r}",
                    "Export one that reads input_ids, attention_mask and token_type_ids alone",
                )
        return session

    @cached_property
    def _tokenizer(self) -> Any:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        tokenizer.enable_truncation(_LONGEST)
        padding = tokenizer.padding or {}
        tokenizer.enable_padding(
            pad_id=padding.get("pad_id", 0), pad_token=padding.get("pad_token", "[PAD]")
        )
        return tokenizer


def onnx_file(folder: Path) -> Path | None:
    """The ONNX model of a folder; None where there is none."""
    for name in _ONNX:
        if (folder / name).exists():
            return folder / name
    return None


def onnx_session(folder: Path) -> Any:
    """On the CPU. Raises DataError for a file that is no model."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(
            str(onnx_file(folder)), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # its errors have no class in common but this one
        first = str(error).splitlines()[0]
        raise DataError(
            f"cannot read the ONNX model in {str(folder)!r}: {first}", "Export it again"
        ) from None


def require_package(package: str, extra: str) -> None:
    """Raises MachineError where it is not installed."""
    if find_spec(package) is None:
        raise MachineError(
            f"the optional package {package} is not installed; "
            f'install it with: pip install "recsys[{extra}]"'
        )


def _is_model2vec(folder: Path) -> bool:
    """Whether its weights are those of static embeddings."""
    weights = folder / "model.safetensors"
    if not weights.exists() or not (folder / "tokenizer.json").exists():
        return False
    try:
        with safe_open(weights, "numpy") as tensors:
            return "embeddings" in tensors.keys()  # noqa: SIM118
    except SafetensorError:
        return False


def _averaged(states: Any, mask: Any) -> Any:
    """(n, d) of (n, tokens, d) over the tokens of (n, tokens) `mask`."""
    if states.ndim == 2:
        return states
    weights = mask[:, :, None].astype(np.float32)
    counts = np.maximum(weights.sum(axis=1), 1)
    return (states * weights).sum(axis=1) / counts
