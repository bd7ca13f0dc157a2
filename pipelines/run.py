"""The batch run as a list of stages."""

from collections.abc import Sequence
from pathlib import Path

from pipelines.manifest import Manifest
from pipelines.places import (
    AUDIT,
    BLEND,
    COLD_START,
    GRAPH,
    INDEX,
    LOG,
    POPULARITY,
    RELATIONS,
    REPORT,
    SPLIT,
    SUPPRESSED,
    TEST,
    TRAINED,
    VALIDATION,
    WITHOUT,
)
from pipelines.runner import Stage, run_plan
from pipelines.stages import (
    ablation,
    audit,
    baselines,
    blend,
    cold_start,
    graphs,
    ingest,
    popularity,
    relations,
    report,
    serving,
    split,
    training,
)
from pipelines.stages.training import LIGHTGCN, MODEL
from recsys.closed_form.catalogue import baseline
from recsys.core.artefacts import RunFolder
from recsys.core.config import DataConfig, RunConfig
from recsys.core.progress import QUIET, Progress
from recsys.fitting.known_names import require_known_names
from recsys.graph.parts import configured_parts
from recsys.phases.phase import PhaseName
from recsys.releases.life_cycle import publish, was_live

_ROWS = (LOG, SPLIT)
_LEARNED = ("graph", "model", "train", "seed", "threads")
_SERVED = ("evaluate.seen_behaviors", "index.cold_items", "index.segment")
_BLENDED = ("blend", "graph", "train.metric_k", "evaluate.seen_behaviors", "seed")
_JUDGED = ("evaluate", "graph.target", "graph.negative_behaviors", "train.metric_k", "seed")


def plan(config: RunConfig) -> list[Stage]:
    """Every stage of a run: choose on validation, refit and test once, then refit on the whole log
    and serve that.

    Raises UsageError for an unknown baseline, ConfigError for another unknown name, before anything
    runs.
    """
    require_known_names(config)
    variants = (MODEL, LIGHTGCN) if LIGHTGCN in config.evaluate.baselines else (MODEL,)
    others = tuple(baseline(name).name for name in config.evaluate.baselines if name != LIGHTGCN)
    lists = [
        place.format(bucket=name) for place in (VALIDATION, TEST) for name in (*variants, *others)
    ]
    ablations = configured_parts(config.graph) if config.evaluate.ablate_relations else []
    lists += [WITHOUT.format(bucket=part) for part in ablations]
    trained = TRAINED.format(phase="final", bucket=MODEL)
    inputs = (
        *_ROWS,
        AUDIT,
        GRAPH.format(phase="final"),
        INDEX.format(phase="final"),
        trained,
        COLD_START,
        *lists,
    )
    return [
        Stage(
            "ingest",
            ingest.ingest,
            LOG,
            (SUPPRESSED,),
            config=("data", "clean"),
            files=_files(config.data),
        ),
        *_relations(config),
        Stage("split", split.split_rows, SPLIT, (LOG,), ("split", "graph.target", "seed")),
        Stage(
            "audit",
            audit.check_splits,
            AUDIT,
            (*_ROWS, *_side_inputs(config)),
            ("split", "graph", "evaluate.seen_behaviors", "seed"),
        ),
        _graph("select", config),
        _train("select", variants),
        _blend("select", variants),
        _score("select", variants),
        Stage("tune", baselines.tune, VALIDATION, _ROWS, _JUDGED, buckets=others),
        Stage(
            "popularity", popularity.choose, POPULARITY, _ROWS, (*_JUDGED, "split", "blend.trend")
        ),
        _graph("final", config),
        _train("final", variants),
        _blend("final", variants),
        _score("final", variants),
        Stage("test", baselines.score_test, TEST, (*_ROWS, VALIDATION), _JUDGED, buckets=others),
        *_ablations(config, ablations),
        _cold_start(config),
        _index("final"),
        Stage(
            "report",
            report.write,
            REPORT,
            inputs,
            ("name", "data", "clean", "split", *_LEARNED, "evaluate"),
        ),
        *_serve(config),
    ]


def run(
    config: RunConfig,
    out: Path | None = None,
    progress: Progress = QUIET,
    fresh: bool = False,
    since: str | None = None,
    until: str | None = None,
    hold: bool = False,
) -> Manifest:
    """Run the plan of `config` in its run folder (`out`, config.out or runs/<name>); returns the
    manifest.

    A new bundle goes live at the end, unless `hold`. One that was live before and is so no more
    (rolled back, say) stays as it is while nothing changes.
    """
    folder = RunFolder(out or Path(config.out or f"runs/{config.name}"))
    manifest = run_plan(plan(config), config, folder, progress, fresh, since, until)
    if "bundle" in manifest.touched:
        path = folder.path / manifest.entries["bundle"].output
        if hold:
            progress.say(
                f"bundle {path.name} is held: recsys promote makes it live", bundle=path.name
            )
        elif (
            "bundle" in manifest.ran
            or not folder.bundle.exists()
            or not was_live(folder, path.name)
        ):
            publish(folder, path)
            progress.say(f"serving bundle {path.name}", bundle=path.name)
    return manifest


def _relations(config: RunConfig) -> list[Stage]:
    """Files of edges, when there are any."""
    files = config.graph.files
    keys = ("graph.relations", "graph.knowledge", "data.broken_lines", "data.time_unit")
    return [Stage("relations", relations.read, RELATIONS, (LOG,), keys, files)] if files else []


def _side_inputs(config: RunConfig) -> tuple[str, ...]:
    return tuple(stage.output for stage in _relations(config) if stage.output)


def _graph(phase: PhaseName, config: RunConfig) -> Stage:
    inputs = (*((LOG,) if phase == "serve" else _ROWS), *_side_inputs(config))
    return Stage(
        f"graph-{phase}", graphs.build(phase), GRAPH.format(phase=phase), inputs, ("graph",)
    )


def _train(phase: PhaseName, variants: Sequence[str]) -> Stage:
    earlier = () if phase == "select" else (TRAINED.replace("{phase}", "select"),)
    inputs = (*_ROWS, GRAPH.format(phase=phase), *earlier)
    keys = (*_LEARNED, "evaluate.seen_behaviors") if phase == "select" else _LEARNED
    output = TRAINED.replace("{phase}", phase)
    return Stage(
        f"train-{phase}", training.fit(phase), output, inputs, keys, buckets=tuple(variants)
    )


def _blend(phase: PhaseName, variants: Sequence[str]) -> Stage:
    earlier = () if phase == "select" else (BLEND.replace("{phase}", "select"),)
    inputs = (*_ROWS, GRAPH.format(phase=phase), TRAINED.replace("{phase}", phase), *earlier)
    output = BLEND.replace("{phase}", phase)
    return Stage(
        f"blend-{phase}", blend.fit(phase), output, inputs, _BLENDED, buckets=tuple(variants)
    )


def _score(phase: PhaseName, variants: Sequence[str]) -> Stage:
    name, output = ("validate", VALIDATION) if phase == "select" else ("test-model", TEST)
    inputs = (*_ROWS, BLEND.replace("{phase}", phase), TRAINED.replace("{phase}", phase))
    return Stage(name, training.score(phase), output, inputs, _JUDGED, buckets=tuple(variants))


def _ablations(config: RunConfig, parts: Sequence[str]) -> list[Stage]:
    """The model without each part of its graph, when that is asked for."""
    chosen = [place.format(phase="select", bucket=MODEL) for place in (TRAINED, BLEND)]
    inputs = (*_ROWS, *_side_inputs(config), GRAPH.format(phase="final"), *chosen)
    keys = (*_LEARNED, "blend", "evaluate")
    return (
        [Stage("ablate", ablation.rank_without, WITHOUT, inputs, keys, buckets=tuple(parts))]
        if parts
        else []
    )


def _cold_start(config: RunConfig) -> Stage:
    """The tested model on visitors and on items that nobody took in train."""
    found = [place.format(phase="final", bucket=MODEL) for place in (TRAINED, BLEND)]
    inputs = (*_ROWS, *_side_inputs(config), GRAPH.format(phase="final"), POPULARITY, *found)
    return Stage("cold_start", cold_start.judge, COLD_START, inputs, ("evaluate", "graph", "seed"))


def _serve(config: RunConfig) -> list[Stage]:
    """Refit on the whole log (unless the tested model is to be served), index, bundle and the
    switched link.
    """
    phase: PhaseName = "serve" if config.refit else "final"
    trained = TRAINED.format(phase=phase, bucket=MODEL)
    blended = BLEND.format(phase=phase, bucket=MODEL)
    again = [
        _graph("serve", config),
        _train("serve", (MODEL,)),
        _blend("serve", (MODEL,)),
        _index("serve"),
    ]
    made = (
        *_side_inputs(config),
        GRAPH.format(phase=phase),
        trained,
        blended,
        INDEX.format(phase=phase),
    )
    inputs = (*_ROWS, *made, POPULARITY, REPORT, TEST.format(bucket=MODEL))
    keys = ("name", "refit", "clean", "split", "blend", *_LEARNED, *_SERVED)
    return [
        *(again if config.refit else []),
        Stage("bundle", serving.bundle(phase), None, inputs, keys),
    ]


def _index(phase: PhaseName) -> Stage:
    """How to search the item vectors; those that are tested are also measured through the index."""
    blended = BLEND.format(phase=phase, bucket=MODEL)
    inputs = (*_ROWS, TRAINED.format(phase=phase, bucket=MODEL), blended)
    judged = ("evaluate", "graph.negative_behaviors") if phase == "final" else ()
    keys = ("index", "seed", "graph.target", *judged)
    return Stage(f"index-{phase}", serving.index(phase), INDEX.format(phase=phase), inputs, keys)


def _files(data: DataConfig) -> tuple[str, ...]:
    """Everything that ingest reads."""
    logs = data.log if isinstance(data.log, list) else [data.log]
    given = [
        *logs,
        data.train,
        data.validation,
        data.test,
        data.items,
        data.users,
        data.availability,
        data.suppressed,
    ]
    return tuple(path for path in given if path)
