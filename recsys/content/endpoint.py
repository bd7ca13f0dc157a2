"""Encoders behind an address, by the protocol of OpenAI's embeddings: POST {"model", "input"} gives
{"data": [{"index", "embedding"}]}.
"""

import base64
import http.client
import json
import os
import random
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from recsys.core.arrays import Float32Array
from recsys.core.config import ImageConfig, TextConfig
from recsys.core.errors import MachineError

_MOST_BYTES = 256 * 1024 * 1024  # of an answer
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 60.0
_TOLD_CHARACTERS = 200  # of what a refusal says


@dataclass(frozen=True)
class Endpoint:
    """One service and model.

    url: takes the requests.
    model: its name there; None where the service has one alone.
    dimensions: width that is asked for; None for the model's own.
    key: bearer token; None for none. It is in no message.
    of_pictures: whether inputs are paths of pictures, which are sent as {"image": base64}.
    timeout_seconds, retries: of a request.
    sleep: what waits between tries.
    """

    url: str
    model: str | None = None
    dimensions: int | None = None
    key: str | None = field(default=None, repr=False)
    of_pictures: bool = False
    timeout_seconds: float = 30.0
    retries: int = 5
    sleep: Callable[[float], None] = time.sleep

    @classmethod
    def of(cls, config: TextConfig | ImageConfig) -> "Endpoint":
        """As configured. Raises MachineError where the key's environment variable is not set."""
        key = None
        if config.key_env is not None:
            key = os.environ.get(config.key_env)
            if not key:
                raise MachineError(
                    f"the environment variable {config.key_env!r} of features.key_env is not set",
                    "Set it to the key of the endpoint, or leave key_env out",
                )
        is_text = isinstance(config, TextConfig)
        return cls(
            url=str(config.url),
            model=config.model,
            dimensions=config.dimensions if isinstance(config, TextConfig) else None,
            key=key,
            of_pictures=not is_text,
            timeout_seconds=config.timeout_seconds,
            retries=config.retries,
        )

    @property
    def identity(self) -> str:
        return f"endpoint {self.url} {self.model} {self.dimensions}"

    @property
    def title(self) -> str:
        host = urlsplit(self.url).netloc
        return f"{self.model} at {host}" if self.model else host

    def encode(self, inputs: Sequence[str]) -> Float32Array:
        """(n, d) by one request. Raises MachineError where the service does not answer as it should."""
        body: dict[str, Any] = {"input": [self._input(text) for text in inputs]}
        if self.model is not None:
            body["model"] = self.model
        if self.dimensions is not None:
            body["dimensions"] = self.dimensions
        return self._read(self._ask(json.dumps(body).encode()), len(inputs))

    def _input(self, text: str) -> Any:
        if not self.of_pictures:
            return text
        return {"image": base64.b64encode(Path(text).read_bytes()).decode()}

    def _ask(self, body: bytes) -> bytes:
        """What the service answers; tries again where it was busy, lost or late."""
        problem = ""
        for attempt in range(1 + self.retries):
            pause = _pause_before(attempt)
            try:
                return self._answer(body)
            except urllib.error.HTTPError as error:
                with error:
                    problem = f"it answered {error.code} {error.reason}{_said(error)}"
                    pause = _asked_pause(error) or pause
                if error.code != 429 and error.code < 500:
                    raise MachineError(
                        f"the endpoint {self.title} refuses to encode: {problem}",
                        "Check features.url, model and key_env",
                    ) from None
            except (OSError, http.client.HTTPException) as error:
                problem = str(getattr(error, "reason", error)) or type(error).__name__
            if attempt < self.retries:
                self.sleep(pause)
        raise MachineError(
            f"the endpoint {self.title} did not encode in {1 + self.retries} tries: {problem}",
            "Run again later: what was encoded is in the cache",
        )

    def _answer(self, body: bytes) -> bytes:
        headers = {"Content-Type": "application/json", "User-Agent": "recsys"}
        if self.key is not None:
            headers["Authorization"] = f"Bearer {self.key}"
        request = urllib.request.Request(self.url, data=body, headers=headers)
        with urllib.request.urlopen(request, timeout=self.timeout_seconds) as answer:
            content: bytes = answer.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise MachineError(
                f"the endpoint {self.title} answered with more than {_MOST_BYTES:,} bytes",
                "Lower features.batch_size",
            )
        return content

    def _read(self, content: bytes, count: int) -> Float32Array:
        """(count, d) in the order of the inputs."""
        try:
            rows = json.loads(content)["data"]
            ordered = sorted(rows, key=lambda row: row["index"])
            places = [row["index"] for row in ordered]
            vectors = np.array([row["embedding"] for row in ordered], np.float32)
        except (ValueError, KeyError, TypeError) as error:
            raise MachineError(
                f"the endpoint {self.title} answered with no embeddings: {type(error).__name__}",
                'It should answer {"data": [{"index": 0, "embedding": [0.1, …]}, …]}',
            ) from None
        if places != list(range(count)) or vectors.ndim != 2:
            raise MachineError(
                f"the endpoint {self.title} answered {count} inputs with {len(places)} embeddings",
                "Check the model, or lower features.batch_size",
            )
        return vectors


def _pause_before(attempt: int) -> float:
    """Seconds: twice as long each time, and spread, so that clients do not come back together."""
    longest = min(_FIRST_PAUSE_SECONDS * 2.0**attempt, _LONGEST_PAUSE_SECONDS)
    return longest * (0.5 + random.random() / 2)


def _asked_pause(error: urllib.error.HTTPError) -> float | None:
    """Seconds that the service asks for, bounded; None where it asks for none."""
    try:
        seconds = float(error.headers.get("Retry-After", ""))
    except ValueError:
        return None
    return min(max(seconds, 0.0), _LONGEST_PAUSE_SECONDS)


def _said(error: urllib.error.HTTPError) -> str:
    """The beginning of what a refusal says."""
    try:
        text = error.read(4 * _TOLD_CHARACTERS).decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return ""
    words = " ".join(text.split())[:_TOLD_CHARACTERS]
    return f": {words}" if words else ""
