"""Bodies that change what is served."""

from pydantic import Field

from serving.bodies.fields import (
    BUNDLE,
    Body,
)


class PromoteBody(Body):
    """bundle: name of a bundle of the run. force: though its own report calls it worse than a
    baseline.
    """

    bundle: str = Field(pattern=BUNDLE)
    force: bool = False
