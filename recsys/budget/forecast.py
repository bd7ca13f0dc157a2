"""What a run will take, stage by stage, before it starts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from recsys.baselines.catalogue import baseline
from recsys.budget import costs
from recsys.budget.costs import StageCost
from recsys.budget.counts import Counts
from recsys.budget.training_costs import training_cost
from recsys.core.config import RunConfig

_PHASES = ("select", "final", "serve")


@dataclass(frozen=True)
class StageForecast:
    """One stage over one bucket.

    name: as the run calls it.
    cost: at the nominal speed.
    """

    name: str
    cost: StageCost


@dataclass(frozen=True)
class RunForecast:
    """All stages in their order."""

    stages: tuple[StageForecast, ...]

    @property
    def seconds(self) -> float:
        """Of processor, at the nominal speed."""
        return sum(stage.cost.seconds for stage in self.stages)

    @property
    def memory_bytes(self) -> float:
        """At the peak of the largest stage."""
        return max((stage.cost.memory_bytes for stage in self.stages), default=0.0)

    @property
    def disk_bytes(self) -> float:
        """Of everything that stays."""
        return sum(stage.cost.disk_bytes for stage in self.stages)

    def of(self, name: str) -> StageCost | None:
        """The cost of a stage; None for one that was not forecast."""
        for stage in self.stages:
            if stage.name == name:
                return stage.cost
        return None

    def until(self, stage: str | None) -> "RunForecast":
        """Of the stages up to one, over all its buckets; all when None."""
        if stage is None:
            return self
        last = len(self.stages) - 1
        for position, forecast in enumerate(self.stages):
            if forecast.name.partition("[")[0] == stage:
                last = position
        return RunForecast(self.stages[: last + 1])

    def without(self, names: Sequence[str]) -> "RunForecast":
        """Without stages that are done."""
        return RunForecast(tuple(stage for stage in self.stages if stage.name not in names))


def forecast_run(
    stages: Sequence[tuple[str, str]], counts: Counts, config: RunConfig
) -> RunForecast:
    """What a run takes.

    Args:
        stages: (stage, bucket) in order; "" for a stage without buckets.
        counts: of the log.
        config: of the run.
    """
    forecasts = []
    for stage, bucket in stages:
        name = f"{stage}[{bucket}]" if bucket else stage
        forecasts.append(StageForecast(name, stage_cost(stage, bucket, counts, config)))
    return RunForecast(tuple(forecasts))


def stage_cost(stage: str, bucket: str, counts: Counts, config: RunConfig) -> StageCost:
    """What one stage takes over one bucket.

    Args:
        stage: its name, "train-select" for example.
        bucket: a model or baseline; "" for none.
        counts: of the log.
        config: of the run.
    """
    kind, _, phase = stage.rpartition("-")
    if phase in _PHASES:
        return _OF_PHASES[kind](counts.at(phase), config, phase)
    if stage in _OF_BASELINES:
        return _OF_BASELINES[stage](counts, bucket, config)
    return _OTHERS[stage](counts, config)


def is_forecast(stage: str) -> bool:
    """Whether there is a formula for a stage of this name."""
    kind, _, phase = stage.rpartition("-")
    is_of_phase = phase in _PHASES and kind in _OF_PHASES
    return is_of_phase or stage in _OF_BASELINES or stage in _OTHERS


def _graph(counts: Counts, config: RunConfig, phase: str) -> StageCost:
    return costs.graph_cost(counts)


def _train(counts: Counts, config: RunConfig, phase: str) -> StageCost:
    return training_cost(counts, config, phase)


def _blend(counts: Counts, config: RunConfig, phase: str) -> StageCost:
    return costs.blend_cost(counts, config, phase == "select")


def _index(counts: Counts, config: RunConfig, phase: str) -> StageCost:
    return costs.index_cost(counts)


def _tune(counts: Counts, bucket: str, config: RunConfig) -> StageCost:
    num_fits = 0 if is_skipped(bucket, counts, config) else _fits_to_choose(bucket, config)
    return costs.baseline_cost(counts, bucket, num_fits)


def _test(counts: Counts, bucket: str, config: RunConfig) -> StageCost:
    num_fits = 0 if is_skipped(bucket, counts, config) else 1
    return costs.baseline_cost(counts.at("final"), bucket, num_fits)


def is_skipped(name: str, counts: Counts, config: RunConfig) -> bool:
    """Whether a baseline cannot run on the log, or is too dear for `evaluate.baseline_minutes`
    (`baselines.catalogue.skip_reason`).
    """
    model = baseline(name)
    lacks_times = model.needs_times and not counts.has_clock
    lacks_order = model.needs_order and not counts.has_order
    if lacks_times or lacks_order or model.available() is not None:
        return True
    forecast = model.forecast(counts.users, counts.items, counts.pairs)
    return _fits_to_choose(name, config) * forecast.seconds > 60 * config.evaluate.baseline_minutes


def _fits_to_choose(name: str, config: RunConfig) -> int:
    """Fits of a baseline until its setting is chosen."""
    return baseline(name).with_fewer_settings(config.evaluate.baseline_settings).num_fits


def _ingest(counts: Counts, config: RunConfig) -> StageCost:
    return costs.ingest_cost(counts)


def _relations(counts: Counts, config: RunConfig) -> StageCost:
    return costs.relations_cost(counts)


def _contents(counts: Counts, config: RunConfig) -> StageCost:
    return costs.contents_cost(counts, config)


def _split(counts: Counts, config: RunConfig) -> StageCost:
    return costs.split_cost(counts)


def _audit(counts: Counts, config: RunConfig) -> StageCost:
    return costs.audit_cost(counts)


def _popularity(counts: Counts, config: RunConfig) -> StageCost:
    return costs.counting_cost(counts)


def _similar(counts: Counts, config: RunConfig) -> StageCost:
    return costs.similar_cost(counts, config)


def _rank(counts: Counts, config: RunConfig) -> StageCost:
    return costs.rank_cost(counts, config)


def _validate(counts: Counts, config: RunConfig) -> StageCost:
    return costs.ranking_cost(counts, config, counts.validation_users)


def _test_model(counts: Counts, config: RunConfig) -> StageCost:
    return costs.ranking_cost(counts, config, counts.test_users)


def _ablate(counts: Counts, config: RunConfig) -> StageCost:
    training = training_cost(counts.at("final"), config, "final")
    blending = costs.blend_cost(counts.at("final"), config, False)
    return training._replace(seconds=training.seconds + blending.seconds)


def _cold_start(counts: Counts, config: RunConfig) -> StageCost:
    return costs.cold_start_cost(counts, config)


def _report(counts: Counts, config: RunConfig) -> StageCost:
    num_models = 1 + len(config.evaluate.baselines)
    return costs.report_cost(counts, num_models, config.evaluate.bootstrap)


def _bundle(counts: Counts, config: RunConfig) -> StageCost:
    return costs.bundle_cost(counts, config)


_OF_PHASES: Mapping[str, Callable[[Counts, RunConfig, str], StageCost]] = {
    "graph": _graph,
    "train": _train,
    "blend": _blend,
    "index": _index,
}
_OF_BASELINES: Mapping[str, Callable[[Counts, str, RunConfig], StageCost]] = {
    "tune": _tune,
    "test": _test,
}
_OTHERS: Mapping[str, Callable[[Counts, RunConfig], StageCost]] = {
    "ingest": _ingest,
    "relations": _relations,
    "contents": _contents,
    "split": _split,
    "audit": _audit,
    "count": _popularity,
    "popularity": _popularity,
    "similar": _similar,
    "rank": _rank,
    "validate": _validate,
    "test-model": _test_model,
    "ablate": _ablate,
    "cold_start": _cold_start,
    "report": _report,
    "bundle": _bundle,
}
