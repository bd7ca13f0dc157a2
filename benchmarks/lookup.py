"""What a lookup costs above the bare search, and all users' lists against `implicit`'s batch
recommend.

    python -m benchmarks lookup [--users 29858] [--items 40981] [--pairs 810128] [--width 64]
    [--rounds 5]

A made-up bundle of Gowalla's size. One user: `Lookup.recommend` (ids, seen items, titles,
documents) and the matrix product with the selection alone take turns on one thread. full_*: a
bundle with an item–item table and a low-pass, against FAISS's exact search of its vectors. All
users: our Parquet file with outside ids against `implicit` returning arrays from the same vectors,
seen items left out, both on the same number of threads.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import faiss
import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy import sparse
from threadpoolctl import threadpool_limits

from benchmarks.made_up import made_up, with_histories
from benchmarks.record import record
from recsys.bundle.bundle import Bundle
from recsys.lookup.lookup import Lookup
from recsys.releases.publish import write_bundle
from recsys.search.faiss_kernels import search_threads

K, SINGLES, BLOCK = 20, 300, 1_000


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    sizes = {
        "users": 29_858,
        "items": 40_981,
        "pairs": 810_128,
        "width": 64,
        "threads": 2,
        "rounds": 5,
        "seed": 0,
    }
    for name, value in sizes.items():
        options.add_argument(f"--{name}", type=int, default=value)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        bundle = made_up(given)
        path = write_bundle(Path(folder), bundle)
        written = time.perf_counter()
        lookup = Lookup(Bundle.load(path))
        figures = {
            "bundle_write_seconds": round(written - started, 2),
            "bundle_verify_seconds": round(time.perf_counter() - written, 2),
            **singles(lookup),
            **full(
                Lookup(Bundle.load(write_bundle(Path(folder), with_histories(bundle, given.seed))))
            ),
            **batches(lookup, given, Path(folder) / "all.parquet"),
        }
    record("lookup", figures | vars(given), "made-up bundle", given.seed)


def singles(lookup: Lookup) -> dict[str, float]:
    """Median and p95 milliseconds of single requests; sides take turns."""
    bundle = lookup.bundle
    items = bundle.items.ids.head(3).to_list()
    vectors, queries = np.asarray(bundle.item_vectors), np.asarray(bundle.user_vectors)
    sides: dict[str, Callable[[str], object]] = {
        "bare": lambda user: faiss.kmax((queries[:1] @ vectors.T), K),
        "recommend": lambda user: lookup.recommend([user], K),
        "visitor": lambda user: lookup.recommend(histories=[items], k=K),
        "explain": lambda user: lookup.explain(user, items[0], parts=5),
        "similar": lambda user: lookup.similar_items(items[:1], K),
    }
    figures = _in_turns(sides, bundle)
    figures["overhead_p50_ms"] = round(figures["recommend_p50_ms"] - figures["bare_p50_ms"], 3)
    return figures


def full(lookup: Lookup) -> dict[str, float]:
    """The same of a bundle where histories add to the scores."""
    vectors = np.asarray(lookup.bundle.search_vectors)
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    sides: dict[str, Callable[[str], object]] = {
        "full_faiss": lambda user: index.search(vectors[:1], K),
        "full_recommend": lambda user: lookup.recommend([user], K),
    }
    figures = _in_turns(sides, lookup.bundle)
    return figures | {
        "full_times_faiss": round(
            figures["full_recommend_p50_ms"] / figures["full_faiss_p50_ms"], 2
        )
    }


def _in_turns(sides: Mapping[str, Callable[[str], object]], bundle: Bundle) -> dict[str, float]:
    taken: dict[str, list[float]] = {name: [] for name in sides}
    with threadpool_limits(1, "blas"), search_threads(1):
        for user in bundle.users.ids.sample(SINGLES, seed=0).to_list():
            for name, ask in sides.items():
                taken[name].append(1e3 * _seconds(lambda ask=ask, user=user: ask(user)))
    figures = {}
    for name, values in taken.items():
        figures[f"{name}_p50_ms"], figures[f"{name}_p95_ms"] = (
            np.percentile(values[20:], [50, 95]).round(3).tolist()
        )
    return figures


def batches(lookup: Lookup, given: argparse.Namespace, out: Path) -> dict[str, float]:
    """Median seconds for the lists of all users."""
    bundle = lookup.bundle
    seen = sparse.csr_matrix(bundle.seen[bundle.target], dtype=np.float32)
    with threadpool_limits(1, "blas"):
        peer = AlternatingLeastSquares(factors=given.width, num_threads=given.threads)
    peer.user_factors, peer.item_factors = (
        np.asarray(bundle.user_vectors),
        np.asarray(bundle.item_vectors),
    )
    sides = {"ours": lambda: lookup.batch(None, K, out), "implicit": lambda: _theirs(peer, seen)}
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(given.rounds):
        for name, run in sides.items():
            taken[name].append(_seconds(run))
    ours, theirs = (statistics.median(taken[name]) for name in sides)
    return {
        "batch_ours_seconds": round(ours, 2),
        "batch_implicit_seconds": round(theirs, 2),
        "batch_times_as_fast": round(theirs / ours, 2),
        "batch_megabytes": round(out.stat().st_size / 1e6, 1),
    }


def _theirs(peer: AlternatingLeastSquares, seen: sparse.csr_matrix) -> None:
    with threadpool_limits(1, "blas"):
        for start in range(0, seen.shape[0], BLOCK):
            users = np.arange(start, min(start + BLOCK, seen.shape[0]))
            peer.recommend(users, seen[users], N=K, filter_already_liked_items=True)


def _seconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
