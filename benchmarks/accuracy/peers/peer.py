"""What every peer script shares: pairs from Parquet in, ranked lists as Parquet out, time and
memory on stdout.

Peers run in an environment of their own (peers.txt, recbole.txt, rectools.txt), so nothing of
recsys is imported here.
"""

import argparse
import itertools
import json
import resource
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from scipy import sparse

LENGTH = 20


class Pairs(NamedTuple):
    """seen: (users, items) 0/1 matrix. users, items: the external id of each row and column.

    history: (pairs, 2) row and column of each pair, from the earliest of a user to the latest; None
    for a log without an order.
    """

    seen: sparse.csr_matrix
    users: np.ndarray
    items: np.ndarray
    history: np.ndarray | None = None


class Fitted(NamedTuple):
    """rank: rows of users (n,) → (n, LENGTH) columns of items, seen ones left out, −1 where a list
    ended. facts: what to report beside the time.
    """

    rank: Callable[[np.ndarray], np.ndarray]
    facts: dict[str, Any]


class Clock:
    """Wall and processor seconds; the latter do not depend on what else the machine does."""

    def __init__(self) -> None:
        self.began = time.perf_counter(), time.process_time()

    def spent(self) -> dict[str, float]:
        wall, processor = time.perf_counter() - self.began[0], time.process_time() - self.began[1]
        return {"seconds": wall, "cpu_seconds": processor}


class Timed:
    """The batches of an iterable, the first `limit` of them, with the time that their users took."""

    def __init__(self, batches: Iterable, limit: int | None) -> None:
        self.batches, self.limit = batches, limit
        self.seen, self.clock = 0, Clock()

    def __iter__(self) -> Iterator:
        self.clock = Clock()
        for batch in itertools.islice(self.batches, self.limit):
            yield batch
            self.seen += 1

    def facts(self) -> dict[str, Any]:
        """Seconds of a batch, so that an epoch can be told from a few batches."""
        spent = {
            f"{name}_per_batch": round(value / self.seen, 3)
            for name, value in self.clock.spent().items()
        }
        return {**spent, "batches": self.seen}


def main(fit: Callable[[Pairs, dict[str, Any]], Fitted]) -> None:
    """Fit on a train file with the settings given, print seconds and memory, and write the lists of
    all users where a file for them is named.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("train", type=Path)
    parser.add_argument("lists", type=Path, nargs="?")
    parser.add_argument("--settings", type=json.loads, default={})
    arguments = parser.parse_args()
    pairs = read(arguments.train)
    clock = Clock()
    fitted = fit(pairs, arguments.settings)
    spent = clock.spent()
    if arguments.lists:
        write(arguments.lists, pairs, fitted)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    shown = {name: round(value, 1) for name, value in spent.items()}
    print(json.dumps({**shown, "peak_mb": peak, **fitted.facts}))


def read(path: Path) -> Pairs:
    """The pairs (user_id, item_id) of a file, numbered in ascending order of the ids; its column
    `position` says what came after what in the history of a user.
    """
    table = pl.read_parquet(path)
    users, user = np.unique(table["user_id"].to_numpy(), return_inverse=True)
    items, item = np.unique(table["item_id"].to_numpy(), return_inverse=True)
    ones = np.ones(len(table), np.float32)
    seen = sparse.csr_matrix((ones, (user, item)), shape=(len(users), len(items)))
    history = None
    if "position" in table.columns:
        order = np.lexsort((table["position"].to_numpy(), user))
        history = np.column_stack([user, item])[order]
    return Pairs(seen, users, items, history)


def write(path: Path, pairs: Pairs, fitted: Fitted, block: int = 1024) -> None:
    """The lists of every user: user_id, item_id, rank from 1."""
    everyone = np.arange(len(pairs.users))
    ranked = np.concatenate(
        [fitted.rank(everyone[at : at + block]) for at in range(0, len(everyone), block)]
    )
    table = {
        "user_id": np.repeat(pairs.users, ranked.shape[1]),
        "item_id": pairs.items[ranked.ravel()],
        "rank": np.tile(np.arange(1, ranked.shape[1] + 1), len(everyone)),
    }
    listed = pl.DataFrame(table).filter(pl.Series(ranked.ravel() >= 0))
    listed.write_parquet(path)


def by_inner_product(
    users: np.ndarray, items: np.ndarray, seen: sparse.csr_matrix
) -> Callable[..., np.ndarray]:
    """Ranking by the inner product of vectors (users, width) and (items, width)."""

    def rank(rows: np.ndarray) -> np.ndarray:
        scores = users[rows] @ items.T
        scores[seen[rows].nonzero()] = -np.inf
        top = np.argpartition(-scores, LENGTH, axis=1)[:, :LENGTH]
        order = np.argsort(-np.take_along_axis(scores, top, 1), axis=1, kind="stable")
        return np.take_along_axis(top, order, 1)

    return rank
