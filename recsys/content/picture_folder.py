"""Picture models as they lie on disk: ONNX, with the preprocessing that they were trained with."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from recsys.content.model_folder import FolderModel, onnx_file, onnx_session, require_package
from recsys.core.arrays import Float32Array
from recsys.core.artefacts import read_json
from recsys.core.config import ImageConfig
from recsys.core.errors import DataError

_PREPROCESSING = "preprocessor_config.json"
_MOST_PIXELS = 50_000_000  # a small file may unpack to gigabytes


class PictureModel(FolderModel):
    """model.onnx takes (n, 3, height, width) and gives (n, d) first, as exports of CLIP's image tower do.

    preprocessor_config.json beside it: size or crop_size (pixels), image_mean and image_std (by
    channel of 0 to 1), in the format of Hugging Face.
    """

    @classmethod
    def of(cls, config: ImageConfig) -> "PictureModel":
        """Raises DataError where the folder lacks a file, MachineError for a missing package."""
        folder = Path(str(config.folder))
        if onnx_file(folder) is None or not (folder / _PREPROCESSING).exists():
            raise DataError(
                f"the folder {str(folder)!r} holds no picture model",
                f"It needs model.onnx and {_PREPROCESSING}",
            )
        require_package("onnxruntime", "texts")
        require_package("PIL", "texts")
        return cls(folder)

    def encode(self, inputs: Sequence[str]) -> Float32Array:
        """(n, d) of paths."""
        pixels = np.stack([self._pixels(Path(path)) for path in inputs])
        name = self._session.get_inputs()[0].name
        return np.asarray(self._session.run(None, {name: pixels})[0], np.float32)

    def _pixels(self, path: Path) -> Float32Array:
        """(3, height, width): the shorter side to the size, the middle cut out, channels as trained."""
        from PIL import Image, ImageOps

        height, width = self._size
        with Image.open(path) as image:
            if image.width * image.height > _MOST_PIXELS:
                raise DataError(
                    f"the picture {path.name!r} has {image.width} × {image.height} pixels",
                    f"Scale it to {_MOST_PIXELS:,} at most",
                )
            fitted = ImageOps.fit(image.convert("RGB"), (width, height), Image.Resampling.BICUBIC)
        values = np.asarray(fitted, np.float32) / 255
        scaled = (values - self._numbers("image_mean")) / self._numbers("image_std")
        return np.ascontiguousarray(scaled.transpose(2, 0, 1), np.float32)

    @property
    def _size(self) -> tuple[int, int]:
        size: Any = self._preprocessing.get("crop_size") or self._preprocessing.get("size")
        if isinstance(size, int):
            return size, size
        shortest = size.get("shortest_edge")
        return int(size.get("height", shortest)), int(size.get("width", shortest))

    def _numbers(self, name: str) -> Float32Array:
        return np.array(self._preprocessing[name], np.float32)

    @cached_property
    def _preprocessing(self) -> dict[str, Any]:
        document: dict[str, Any] = read_json(self.folder / _PREPROCESSING)
        for name in ("image_mean", "image_std"):
            if name not in document:
                raise DataError(
                    f"{_PREPROCESSING} in {str(self.folder)!r} lacks {name}", "Export it again"
                )
        if not (document.get("crop_size") or document.get("size")):
            raise DataError(
                f"{_PREPROCESSING} in {str(self.folder)!r} lacks size", "Export it again"
            )
        return document

    @cached_property
    def _session(self) -> Any:
        return onnx_session(self.folder)
