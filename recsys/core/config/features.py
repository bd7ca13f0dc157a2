"""What texts and pictures say of items: an encoder turns each into a vector."""

from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from recsys.core.config.section import Section
from recsys.core.errors import ConfigError

Kind = Literal["text", "image"]


class EncoderConfig(Section):
    """What text and picture features have in common: where they are read, and who encodes them."""

    table: str | None = None
    """File with a row per item, its ids under `data.item_col`; the item table when absent."""
    folder: str | None = None
    """Of `encoder = "folder"`: a model as it lies on disk."""
    url: str | None = None
    """Of `encoder = "endpoint"`: the address that takes POST requests, "…/v1/embeddings" say."""
    model: str | None = None
    """Of an endpoint: the model's name in its requests."""
    key_env: str | None = None
    """Environment variable with the endpoint's key, sent as a bearer token; no key when absent."""
    batch_size: int = Field(64, ge=1, le=4096)
    """Inputs that are encoded, or sent, at once."""
    timeout_seconds: float = Field(30.0, gt=0)
    """Of one request to an endpoint."""
    retries: int = Field(5, ge=0)
    """Further tries of a request that an endpoint refused for a while (429, 5xx) or lost."""

    @model_validator(mode="after")
    def _encoder_is_there(self) -> Self:
        encoder = getattr(self, "encoder", None)
        for name, wanted in (("folder", "folder"), ("url", "endpoint")):
            value = getattr(self, name)
            if encoder == wanted and value is None:
                raise ConfigError(
                    f"encoder = {wanted!r} of features needs {name}", f"Name it with {name} = …"
                )
            if encoder != wanted and value is not None:
                raise ConfigError(
                    f"features name {name} = {value!r} and the encoder {encoder!r}",
                    f"Set encoder = {wanted!r}, or leave {name} out",
                )
        if self.url is not None:
            _require_plain(self.url)
        return self


class TextConfig(EncoderConfig):
    """Columns of titles and descriptions that become one vector an item."""

    columns: list[str] = Field(min_length=1)
    """Columns of the table, joined in this order; lists of values as words."""
    encoder: Literal["tfidf", "folder", "endpoint"] = "tfidf"
    """tfidf: words and character n-grams of the phase's own items, by truncated SVD; needs nothing.
    folder: a model2vec, ONNX or sentence-transformers model on disk. endpoint: an OpenAI-compatible
    service for embeddings.
    """
    dimensions: int | None = Field(None, ge=1, le=4096)
    """Width of the vectors: 128 of tfidf when absent; what the encoder gives otherwise. An endpoint is
    asked for it.
    """
    max_characters: int = Field(8000, ge=1)
    """Longer texts are cut, and counted."""

    @property
    def kind(self) -> Kind:
        return "text"

    @property
    def name(self) -> str:
        """Of the feature."""
        return "text:" + "+".join(self.columns)


class ImageConfig(EncoderConfig):
    """A column of picture files that become one vector an item."""

    column: str
    """Column of the table with the path of a file, from the folder of the table when relative."""
    encoder: Literal["folder", "endpoint"]
    """folder: an ONNX model on disk, "model.onnx" with "preprocessor_config.json" beside it. endpoint:
    a service that takes {"image": base64} as input. There is no default: nothing that needs no model
    says what is on a picture.
    """
    max_bytes: int = Field(20_000_000, ge=1)
    """Larger files are left out, and counted."""

    @property
    def kind(self) -> Kind:
        return "image"

    @property
    def name(self) -> str:
        """Of the feature."""
        return f"image:{self.column}"


class FeaturesConfig(Section):
    """Texts and pictures of items, for those with few interactions or none (docs/texts.md)."""

    text: list[TextConfig] = Field([])
    """Texts."""
    image: list[ImageConfig] = Field([])
    """Pictures."""
    cache: str | None = None
    """Folder of vectors by content and encoder, so that none is made twice; when absent
    "recsys/content" in the user's cache folder.
    """
    neighbours: int = Field(50, ge=0)
    """Items of the nearest content that an item of a history adds to, where validation finds that it
    helps; 0 leaves that out.
    """

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [feature.name for feature in self.all]
        for name in names:
            if names.count(name) > 1:
                raise ConfigError(
                    f"two features are {name!r}", "Leave one out, or join other columns"
                )
        return self

    @property
    def all(self) -> list[TextConfig | ImageConfig]:
        """Texts, then pictures."""
        return [*self.text, *self.image]

    @property
    def files(self) -> tuple[str, ...]:
        """What they are read from, beside the item table."""
        named = []
        for feature in self.all:
            named += [feature.table, feature.folder]
        return tuple(path for path in named if path is not None)


def _require_plain(url: str) -> None:
    """Raises ConfigError for an address that is none of HTTP, or that holds a password."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"features.url = {url!r} is no http address", "Begin it with https://")
    if parts.username or parts.password:
        raise ConfigError(
            f"features.url of {parts.hostname!r} holds a password",
            "Name the environment variable of the key with key_env",
        )
