"""Peer: RecTools' transformers over the order of histories: SASRec, eSASRec (its LiGR layers), HSTU.

Settings that are not given are the package's defaults. Moments are places in a history, one second
apart: relative times say nothing here.
"""

from typing import Any

import numpy as np
import pandas as pd
from peer import LENGTH, Fitted, Pairs, main
from pytorch_lightning import Trainer, seed_everything
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import HSTUModel, SASRecModel
from rectools.models.nn.transformers.ligr import LiGRLayers

MODELS = {"sasrec": SASRecModel, "esasrec": SASRecModel, "hstu": HSTUModel}
_OWN = ("model", "seed", "epochs")


def fit(pairs: Pairs, settings: dict[str, Any]) -> Fitted:
    if pairs.history is None:
        raise SystemExit("the log has no order: histories are nothing to learn from")
    seed_everything(settings["seed"], verbose=False)
    arguments = {name: value for name, value in settings.items() if name not in _OWN}
    if settings["model"] == "esasrec":
        arguments |= {"transformer_layers_type": LiGRLayers, "use_key_padding_mask": True}
    epochs = settings["epochs"]

    def trainer() -> Trainer:
        return Trainer(
            max_epochs=epochs,
            min_epochs=epochs,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )

    model = MODELS[settings["model"]](get_trainer_func=trainer, **arguments)
    dataset = _dataset(pairs.history)
    model.fit(dataset)

    def rank(users: np.ndarray) -> np.ndarray:
        lists = model.recommend(users, dataset, k=LENGTH, filter_viewed=True)
        ranked = np.full((len(users), LENGTH), -1)
        row = np.searchsorted(users, lists[Columns.User].to_numpy())
        ranked[row, lists[Columns.Rank].to_numpy() - 1] = lists[Columns.Item].to_numpy()
        return ranked

    return Fitted(rank, {"epochs": epochs})


def _dataset(history: np.ndarray) -> Dataset:
    """Every pair a second after the one before it."""
    moments = pd.to_datetime(np.arange(len(history)), unit="s", origin="2020-01-01")
    columns = {
        Columns.User: history[:, 0],
        Columns.Item: history[:, 1],
        Columns.Weight: 1,
        Columns.Datetime: moments,
    }
    return Dataset.construct(pd.DataFrame(columns))


if __name__ == "__main__":
    main(fit)
