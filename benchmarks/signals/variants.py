"""The logs with more than one signal, and the variants of each: what of the graph a variant keeps."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.accuracy.data import merged
from recsys.core.config import RunConfig, build_config
from recsys.core.errors import UsageError, nearest

PIPELINES = Path(__file__).parents[2] / "pipelines"
HETEROGENEOUS, BIPARTITE, DISCOVERY = "heterogeneous", "bipartite", "discovery"
_AT_TEN = {"train": {"metric_k": 10}, "evaluate": {"ks": [10, 20]}}
_SMALL = {
    "train": {"batch_size": 16384, "epochs": 3, "lr": 0.01},
    "blend": {"neighbours": 100, "low_pass_rank": 256},
}
"""A few dozen large steps from the SVD and a thin table: minutes for a run, with every signal in
the graph.
"""


@dataclass(frozen=True)
class Log:
    """A log.

    behaviors: those beside the target. alone: relations that are also measured one at a time.
    budget: of all variants, beneath what the run configuration says.
    """

    file: str
    behaviors: tuple[str, ...] = ()
    alone: tuple[str, ...] = ()
    budget: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: _SMALL)

    @property
    def variants(self) -> tuple[str, ...]:
        """Names of what is measured; with behaviours also lists of what is new to the user."""
        discovery = (
            (f"{DISCOVERY}-{HETEROGENEOUS}", f"{DISCOVERY}-{BIPARTITE}") if self.behaviors else ()
        )
        return (HETEROGENEOUS, BIPARTITE, *(f"alone-{name}" for name in self.alone), *discovery)


LOGS = {
    "ml-100k": Log("ml-100k-signals.toml", alone=("knowledge",)),
    "lastfm-hetrec": Log("lastfm-hetrec-signals.toml", alone=("friends",)),
    "citeulike-a": Log("citeulike-a-signals.toml", alone=("cites",)),
    "yelp-hin": Log("yelp-hin-signals.toml"),
    "amazon-hin": Log("amazon-hin-signals.toml"),
    "tmall-mbcgcn": Log("tmall-mbcgcn.toml", behaviors=("view", "cart"), budget={}),
}


def log(dataset: str) -> Log:
    """Raises UsageError naming close ones."""
    if dataset not in LOGS:
        raise UsageError(
            f"unknown dataset {dataset!r}", nearest(dataset, LOGS) or f"Known: {', '.join(LOGS)}"
        )
    return LOGS[dataset]


def configuration(dataset: str, variant: str, folder: Path) -> RunConfig:
    """The run configuration of a variant, its files in `folder`/<dataset>; NDCG@10 decides
    everything.
    """
    one = log(dataset)
    if variant not in one.variants:
        raise UsageError(
            f"{dataset} has no variant {variant!r}", f"It has {', '.join(one.variants)}"
        )
    text = (
        (PIPELINES / one.file)
        .read_text(encoding="utf-8")
        .replace('"data/', f'"{folder.as_posix()}/')
    )
    raw = merged(one.budget, _sections(text), _AT_TEN)
    seen = [raw["graph"]["target"], *one.behaviors] if variant.startswith(DISCOVERY) else None
    raw["evaluate"]["seen_behaviors"] = seen
    raw["graph"] = _kept(raw.get("graph", {}), variant, one.behaviors)
    return build_config(raw)


def _sections(text: str) -> dict[str, Any]:
    return {
        name: values for name, values in tomllib.loads(text).items() if isinstance(values, dict)
    }


def _kept(graph: Mapping[str, Any], variant: str, behaviors: tuple[str, ...]) -> dict[str, Any]:
    """What a variant keeps of the graph section."""
    if variant.endswith(HETEROGENEOUS):
        return dict(graph)
    plain = {
        key: value
        for key, value in graph.items()
        if key not in ("attributes", "relations", "knowledge", "sessions")
    }
    if behaviors:
        plain["behavior_weights"] = dict.fromkeys(behaviors, 0.0)
    alone = variant.removeprefix("alone-")
    if alone == "knowledge":
        return plain | {"knowledge": graph["knowledge"]}
    return plain | {
        "relations": [one for one in graph.get("relations", []) if one["name"] == alone]
    }
