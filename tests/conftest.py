"""Fixtures shared by all areas: seeds are fixed, and no test leans on the order of another."""

import numpy as np
import pytest


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
