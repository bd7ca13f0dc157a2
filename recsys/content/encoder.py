"""What turns texts or pictures into vectors, whoever does it."""

from collections.abc import Sequence
from typing import Protocol

from recsys.core.arrays import Float32Array
from recsys.core.config import ImageConfig, TextConfig
from recsys.core.errors import UsageError


class Encoder(Protocol):
    """A model that is not fitted here.

    identity: of what its vectors depend on beside the input; vectors are cached under it.
    title: in messages.
    """

    @property
    def identity(self) -> str: ...

    @property
    def title(self) -> str: ...

    def encode(self, inputs: Sequence[str]) -> Float32Array:
        """(n, d) of texts, or of paths of pictures; none of them empty."""
        ...


def encoder_of(config: TextConfig | ImageConfig) -> Encoder:
    """The encoder that a feature names.

    Raises MachineError for a package that is not installed, UsageError for one that is fitted
    rather than asked.
    """
    if config.encoder == "endpoint":
        from recsys.content.endpoint import Endpoint

        return Endpoint.of(config)
    if config.encoder == "folder" and isinstance(config, ImageConfig):
        from recsys.content.picture_folder import PictureModel

        return PictureModel.of(config)
    if config.encoder == "folder":
        from recsys.content.model_folder import text_model

        return text_model(config)
    raise UsageError(f"the encoder {config.encoder!r} is fitted on texts", "Use fit_tfidf")
