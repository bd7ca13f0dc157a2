"""Figures for Prometheus: drift against the bundle, bundles that change, sources."""

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from serving.documents import Answer
from serving.metrics import Metrics
from serving.state import Served, load


@pytest.fixture
def served(bundle_path: Path) -> Served:
    return load(bundle_path)


def answer(score: float, source: str = "model", unknown: tuple[str, ...] = ()) -> Answer:
    items = [{"id": "i", "score": score, "rank": 1}]
    return {"items": items, "source": source, "unknown": list(unknown), "model_version": "x"}  # type: ignore[typeddict-item]


def value(registry: CollectorRegistry, name: str, **labels: str) -> float:
    found = registry.get_sample_value(name, labels)
    assert found is not None
    return found


def test_drift_is_in_deviations_of_the_bundle(served: Served) -> None:
    metrics = Metrics()
    metrics.loaded(served)
    mean, deviation = served.expected.mean, served.expected.deviation
    metrics.observe(served, [answer(mean)] * 100)
    assert value(metrics.registry, "recsys_score_drift") == pytest.approx(0, abs=1e-6)
    metrics.observe(served, [answer(mean + 2 * deviation)] * 20_000)
    assert value(metrics.registry, "recsys_score_drift") == pytest.approx(2, abs=1e-3)


def test_lists_of_strangers_say_nothing_about_drift(served: Served) -> None:
    metrics = Metrics()
    metrics.loaded(served)
    metrics.observe(served, [answer(99.0, "fallback", ("u",)), answer(99.0, "fold_in")])
    assert value(metrics.registry, "recsys_score_drift") == 0
    assert value(metrics.registry, "recsys_unknown_ids_total") == 1
    assert value(metrics.registry, "recsys_answers_total", source="fold_in") == 1


def test_the_figures_name_the_bundle_that_answers(served: Served, other_bundle_path: Path) -> None:
    metrics, other = Metrics(), load(other_bundle_path)
    metrics.loaded(served)
    metrics.loaded(other)
    assert value(metrics.registry, "recsys_bundle_info", model_version=served.version) == 0
    assert value(metrics.registry, "recsys_bundle_info", model_version=other.version) == 1
    assert value(metrics.registry, "recsys_reloads_total", outcome="loaded") == 2
