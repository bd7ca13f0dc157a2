"""What a run leaves in the cache for later looks: its lists, its metrics by user, and the weights
of a model.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.torch import load_file, save_file

from benchmarks.accuracy.experiment import Scored
from recsys.core.arrays import Float64Array, Int32Array
from recsys.core.artefacts import atomic_file
from recsys.core.errors import DataError
from recsys.model.network import Network


@dataclass(frozen=True)
class Kept:
    """users: (n,) dense test users. ranked: (n, k) dense items. per_user: metric → (n,)."""

    users: Int32Array
    ranked: Int32Array
    per_user: dict[str, Float64Array]


def keep(cache: Path, row: str, seed: int, scored: Scored) -> None:
    """Write what the row with this seed gave into `cache`."""
    arrays = {f"metric/{name}": values for name, values in scored.ranking.per_user.items()}
    with atomic_file(_path(cache, row, seed, ".npz")) as part:
        np.savez(part, users=scored.ranking.users, ranked=scored.ranked, **arrays)
    if scored.network:
        with atomic_file(_path(cache, row, seed, ".safetensors")) as part:
            weights = scored.network.state_dict()
            save_file({name: value.cpu().contiguous() for name, value in weights.items()}, part)


def lists(cache: Path, row: str, seed: int) -> Kept:
    """Lists and metrics that `keep` wrote. Raises DataError when there are none."""
    with np.load(_found(cache, row, seed, ".npz")) as file:
        per_user = {name[7:]: file[name] for name in file.files if name.startswith("metric/")}
        return Kept(file["users"], file["ranked"], per_user)


def seeds(cache: Path, row: str) -> list[int]:
    """Seeds of which the cache holds lists, ascending."""
    names = (file.stem.rpartition("-") for file in (cache / "kept").glob("*.npz"))
    return sorted(int(seed) for name, _, seed in names if name == row)


def required_seeds(cache: Path, row: str) -> list[int]:
    """The same. Raises DataError when there are none."""
    known = seeds(cache, row)
    if not known:
        raise DataError(f"no seed of the row {row!r} is in {cache}", "Run it first")
    return known


def has_weights(cache: Path, row: str, seed: int) -> bool:
    """Whether `keep` wrote weights: not of a baseline, nor where another row's training was taken."""
    return _path(cache, row, seed, ".safetensors").exists()


def load_weights(network: Network, cache: Path, row: str, seed: int) -> None:
    """Give `network` the weights that `keep` wrote. Raises DataError when there are none."""
    network.load_state_dict(load_file(_found(cache, row, seed, ".safetensors")))


def _found(cache: Path, row: str, seed: int, suffix: str) -> Path:
    path = _path(cache, row, seed, suffix)
    if not path.exists():
        raise DataError(f"{path} does not exist", f"Run the row {row!r} with --seed {seed} first")
    return path


def _path(cache: Path, row: str, seed: int, suffix: str) -> Path:
    return cache / "kept" / f"{row}-{seed}{suffix}"
