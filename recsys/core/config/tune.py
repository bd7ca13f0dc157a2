"""What a search for better values may try."""

from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from recsys.core.config.aliases import dotted_keys
from recsys.core.config.section import Section
from recsys.core.errors import ConfigError


class ValuesConfig(Section):
    """What a search may try for one key: a range or choices."""

    low: int | float | None = None
    """Smallest value of a range."""
    high: int | float | None = None
    """Largest value of a range."""
    log: bool = False
    """Draw from the range evenly in logarithms."""
    choices: list[Any] | None = Field(None, min_length=1)
    """Values to choose from; "none" leaves an optional key out."""


class TuneConfig(Section):
    """What `recsys tune` tries. It looks at validation, never at the test."""

    space: dict[str, ValuesConfig] = Field({})
    """Dotted key → {low, high, log} or {choices}; when empty a recipe, chosen by log and model."""
    startup: int = Field(30, ge=1)
    """Trials before the search learns from all earlier ones; the first is the configuration as
    given, each of the others moves two keys of the best so far.
    """
    prune: bool = True
    """Stop a trial whose best validation is a tenth below the median of the others' after as many
    epochs; and one that is below their median after a quarter or half of its epochs.
    """

    @field_validator("space", mode="before")
    @classmethod
    def _dotted(cls, space: Any) -> Any:
        return dict(dotted_keys(space)) if isinstance(space, dict) else space

    @model_validator(mode="after")
    def _ranges_or_choices(self) -> Self:
        for key, values in self.space.items():
            _refuse_neither_or_both(key, values)
        return self


def _refuse_neither_or_both(key: str, values: ValuesConfig) -> None:
    ends = (values.low, values.high)
    if (values.choices is None) == (ends == (None, None)) or (None in ends) != (
        ends == (None, None)
    ):
        raise ConfigError(
            f"tune.space.{key} is neither a range nor choices", "Give low and high, or choices"
        )
    if values.low is not None and values.high is not None and values.low > values.high:
        raise ConfigError(
            f"tune.space.{key}: low = {values.low} is above high = {values.high}", "Swap them"
        )
    if values.log and (values.low is None or values.low <= 0):
        raise ConfigError(
            f"tune.space.{key}: log needs a range above 0", "Raise low, or leave log out"
        )
