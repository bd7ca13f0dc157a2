"""Shared by all areas: shapes on public signatures are checked while tests run, and seeds are fixed."""

import numpy as np
import pytest
from jaxtyping import install_import_hook

# Before any test imports the model: what is imported already would go unchecked.
install_import_hook("recsys.model", "beartype.beartype")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
