import math

import numpy as np
import pytest
import torch

from recsys.model.loss import bpr


def test_bpr_equals_the_loop_and_leaves_known_pairs_out():
    user, positive, negative = (torch.randn(6, 4) for _ in range(3))
    each = [
        -math.log(1 / (1 + math.exp(-float(u @ (p - n)))))
        for u, p, n in zip(user, positive, negative, strict=True)
    ]
    assert bpr(user, positive, negative).item() == pytest.approx(np.mean(each), rel=1e-5)
    known = torch.tensor([True, False, True, False, False, True])
    expected = np.mean(
        [one for one, masked in zip(each, known.tolist(), strict=True) if not masked]
    )
    assert bpr(user, positive, negative, known).item() == pytest.approx(expected, rel=1e-5)
    assert bpr(user, positive, negative, torch.ones(6, dtype=torch.bool)).item() == 0
