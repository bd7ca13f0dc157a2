"""Peer: `implicit`, alternating least squares or BPR; settings that are not given are the package's
defaults.
"""

from typing import Any

import numpy as np
from implicit.als import AlternatingLeastSquares
from implicit.bpr import BayesianPersonalizedRanking
from peer import LENGTH, Fitted, Pairs, main

MODELS = {"als": AlternatingLeastSquares, "bpr": BayesianPersonalizedRanking}


def fit(pairs: Pairs, settings: dict[str, Any]) -> Fitted:
    model = MODELS[settings["model"]](
        **{name: value for name, value in settings.items() if name != "model"}
    )
    model.fit(pairs.seen, show_progress=False)

    def rank(users: np.ndarray) -> np.ndarray:
        return model.recommend(users, pairs.seen[users], N=LENGTH, filter_already_liked_items=True)[
            0
        ]

    return Fitted(rank, {"factors": model.factors, "iterations": model.iterations})


if __name__ == "__main__":
    main(fit)
