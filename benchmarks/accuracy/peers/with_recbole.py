"""Peer: RecBole's `LightGCN`, with its own data loader, loss and optimiser."""

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from peer import Fitted, Pairs, Timed, by_inner_product, main
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.model.general_recommender import LightGCN
from recbole.trainer import Trainer
from recbole.utils import init_seed


def fit(pairs: Pairs, settings: dict[str, Any]) -> Fitted:
    sys.argv = sys.argv[:1]  # RecBole reads the command line as settings
    with tempfile.TemporaryDirectory() as folder:
        config = _config(Path(folder), pairs, settings)
        init_seed(settings["seed"], reproducibility=True)
        dataset = create_dataset(config)
        train, *_ = data_preparation(config, dataset)
        model = LightGCN(config, train.dataset)
        trainer = Trainer(config, model)
        batches = Timed(
            (batch for _ in range(settings["epochs"]) for batch in train), settings.get("batches")
        )
        # Its `fit` is this loop with validation between; the step is its own.
        for batch in batches:
            trainer.optimizer.zero_grad()
            model.calculate_loss(batch).backward()
            trainer.optimizer.step()
    with torch.no_grad():
        users, items = (vectors.numpy() for vectors in model.forward())
    user = dataset.token2id("user_id", [str(row) for row in range(len(pairs.users))])
    item = dataset.token2id("item_id", [str(column) for column in range(len(pairs.items))])
    rank = by_inner_product(users[user], items[item], pairs.seen)
    return Fitted(rank, batches.facts())


def _config(folder: Path, pairs: Pairs, settings: dict[str, Any]) -> Config:
    """The pairs as an atomic file, dense ids as tokens, and the settings that read all of it as
    train rows.
    """
    user, item = (np.asarray(places) for places in pairs.seen.nonzero())
    (folder / "log").mkdir()
    table = pl.DataFrame({"user_id:token": user, "item_id:token": item})
    table.write_csv(folder / "log" / "log.inter", separator="\t")
    fixed = {
        "data_path": str(folder),
        "checkpoint_dir": str(folder),
        "load_col": {"inter": ["user_id", "item_id"]},
        "eval_args": {
            "split": {"RS": [1, 0, 0]},
            "order": "RO",
            "group_by": "user",
            "mode": "full",
        },
        "use_gpu": False,
        "show_progress": False,
        "state": "WARNING",
    }
    return Config(model="LightGCN", dataset="log", config_dict=fixed | settings)


if __name__ == "__main__":
    main(fit)
