"""The stages of a run: what each reads, leaves and depends on."""

from collections.abc import Sequence

from pipelines.places import (
    AUDIT,
    BLEND,
    BUDGET,
    COLD_START,
    CONTENTS,
    COUNTS,
    GRAPH,
    INDEX,
    LIGHTGCN,
    LOG,
    MODEL,
    POPULARITY,
    RANK,
    RELATIONS,
    REPORT,
    SIMILAR,
    SPLIT,
    SUPPRESSED,
    TEST,
    TRAINED,
    VALIDATION,
    WITHOUT,
)
from pipelines.runner import Stage
from pipelines.stages import (
    ablation,
    audit,
    baselines,
    blend,
    cold_start,
    contents,
    counts,
    graphs,
    ingest,
    popularity,
    relations,
    report,
    second_stage,
    serving,
    similar,
    split,
    training,
)
from recsys.baselines.catalogue import baseline
from recsys.core.config import DataConfig, RunConfig
from recsys.fitting.known_names import require_known_names
from recsys.graph.parts import configured_parts
from recsys.phases.phase import PhaseName
from recsys.train.families import require_shared_steps

_ROWS = (LOG, SPLIT)
_LEARNED = ("graph", "model", "train", "seed", "threads")
_HIDDEN = ("evaluate.task", "evaluate.seen_behaviors")
_SERVED = (*_HIDDEN, "index.cold_items", "index.segment")
_BLENDED = ("blend", "graph", "train.metric_k", *_HIDDEN, "seed")
_JUDGED = ("evaluate", "graph.target", "graph.negative_behaviors", "train.metric_k", "seed")


def plan(config: RunConfig) -> list[Stage]:
    """Every stage of a run.

    Validation chooses; what was chosen is refitted and tested once; then it is refitted on the whole
    log and served. Raises UsageError for an unknown baseline, loss or searcher, before anything runs.
    """
    require_known_names(config)
    if config.group.workers > 1:
        require_shared_steps(config.model, config.train)
    variants = _variants(config)
    baselines_named = _baselines(config)
    ablated = _ablated(config)
    return [
        *_prepare(config),
        *_select(config, variants, baselines_named),
        *_test(config, variants, baselines_named),
        *_ablations(config, ablated),
        _cold_start(config),
        _index("final"),
        _report(config, (*variants, *baselines_named), ablated),
        *_serve(config),
    ]


def _variants(config: RunConfig) -> tuple[str, ...]:
    """The model, and what is trained like it."""
    return (MODEL, LIGHTGCN) if LIGHTGCN in config.evaluate.baselines else (MODEL,)


def _baselines(config: RunConfig) -> tuple[str, ...]:
    """Names of the baselines in closed form. Raises UsageError for one that there is not."""
    names = [name for name in config.evaluate.baselines if name != LIGHTGCN]
    return tuple(baseline(name).name for name in names)


def _ablated(config: RunConfig) -> list[str]:
    """Parts of the graph that are taken away one at a time, where that is asked for."""
    return configured_parts(config.graph) if config.evaluate.ablate_relations else []


def _prepare(config: RunConfig) -> list[Stage]:
    """From the log to audited splits."""
    ingested = Stage(
        "ingest",
        ingest.ingest,
        LOG,
        (SUPPRESSED,),
        # Published files that name no behaviour hold rows of the target.
        config=("data", "clean", "graph.target") if config.data.test else ("data", "clean"),
        files=_files(config.data),
    )
    split_keys = ("split", "graph.target", "evaluate.task", "seed")
    audited = Stage(
        "audit",
        audit.check_splits,
        AUDIT,
        (*_ROWS, *_side_inputs(config)),
        ("split", "graph", *_HIDDEN, "seed"),
    )
    counted = Stage(
        "count", counts.write, COUNTS, (*_ROWS, *_side_inputs(config)), ("graph.target",)
    )
    return [
        ingested,
        *_relations(config),
        *_contents(config),
        Stage("split", split.split_rows, SPLIT, (LOG,), split_keys),
        audited,
        counted,
    ]


def _select(
    config: RunConfig, variants: Sequence[str], baselines_named: Sequence[str]
) -> list[Stage]:
    """What validation chooses."""
    popularity_keys = (*_JUDGED, "split", "blend.trend")
    names = tuple(baselines_named)
    return [
        _graph("select", config),
        _train("select", variants),
        Stage("tune", baselines.tune, VALIDATION, _ROWS, _JUDGED, buckets=names),
        _blend("select", config, variants, names),
        _score("select", config, variants),
        Stage("popularity", popularity.choose, POPULARITY, _ROWS, popularity_keys),
        *_rank(config),
        _similar(),
    ]


def _test(
    config: RunConfig, variants: Sequence[str], baselines_named: Sequence[str]
) -> list[Stage]:
    """Everything chosen, refitted and ranked on the test."""
    inputs = (*_ROWS, VALIDATION)
    names = tuple(baselines_named)
    return [
        _graph("final", config),
        _train("final", variants),
        _blend("final", config, variants),
        _score("final", config, variants),
        Stage("test", baselines.score_test, TEST, inputs, _JUDGED, buckets=names),
    ]


def _report(config: RunConfig, models: Sequence[str], ablated: Sequence[str]) -> Stage:
    """The report of all lists."""
    lists = [VALIDATION.format(bucket=model) for model in models]
    lists += [TEST.format(bucket=model) for model in models]
    lists += [WITHOUT.format(bucket=name) for name in ablated]
    inputs = (
        *_ROWS,
        AUDIT,
        BUDGET,
        GRAPH.format(phase="final"),
        INDEX.format(phase="final"),
        TRAINED.format(phase="final", bucket=MODEL),
        COLD_START,
        SIMILAR,
        *lists,
        *_rank_inputs(config),
    )
    keys = ("name", "data", "clean", "split", *_LEARNED, "evaluate")
    return Stage("report", report.write, REPORT, inputs, keys)


def _relations(config: RunConfig) -> list[Stage]:
    """Files of edges, when there are any."""
    files = config.graph.files
    if not files:
        return []
    keys = ("graph.relations", "graph.knowledge", "data.broken_lines", "data.time_unit")
    return [Stage("relations", relations.read, RELATIONS, (LOG,), keys, files)]


def _contents(config: RunConfig) -> list[Stage]:
    """Texts and pictures, when there are any."""
    if not config.features.all:
        return []
    keys = ("features", "data.title_col", "data.item_col", "data.items")
    return [Stage("contents", contents.read, CONTENTS, (LOG,), keys, config.features.files)]


def _content_inputs(config: RunConfig) -> tuple[str, ...]:
    return (CONTENTS,) if config.features.all else ()


def _content_keys(config: RunConfig) -> tuple[str, ...]:
    return ("features",) if config.features.all else ()


def _side_inputs(config: RunConfig) -> tuple[str, ...]:
    return (RELATIONS,) if config.graph.files else ()


def _graph(phase: PhaseName, config: RunConfig) -> Stage:
    rows = (LOG,) if phase == "serve" else _ROWS
    inputs = (*rows, *_side_inputs(config))
    output = GRAPH.format(phase=phase)
    return Stage(f"graph-{phase}", graphs.build(phase), output, inputs, ("graph",))


def _train(phase: PhaseName, variants: Sequence[str]) -> Stage:
    inputs = [*_ROWS, GRAPH.format(phase=phase)]
    keys = [*_LEARNED]
    if phase == "select":
        keys += _HIDDEN
    else:
        inputs.append(_of_phase(TRAINED, "select"))
    if phase == "serve":
        inputs.append(_of_phase(TRAINED, "final"))
    return Stage(
        f"train-{phase}",
        training.fit(phase),
        _of_phase(TRAINED, phase),
        tuple(inputs),
        tuple(keys),
        buckets=tuple(variants),
    )


def _blend(
    phase: PhaseName, config: RunConfig, variants: Sequence[str], rivals: Sequence[str] = ()
) -> Stage:
    inputs = [*_ROWS, *_content_inputs(config), GRAPH.format(phase=phase)]
    inputs.append(_of_phase(TRAINED, phase))
    inputs += [VALIDATION.format(bucket=name) for name in rivals]
    if phase != "select":
        inputs.append(_of_phase(BLEND, "select"))
    return Stage(
        f"blend-{phase}",
        blend.fit(phase, rivals),
        _of_phase(BLEND, phase),
        tuple(inputs),
        (*_BLENDED, *_content_keys(config)),
        buckets=tuple(variants),
    )


def _rank(config: RunConfig) -> list[Stage]:
    """The second stage, where there is to be one."""
    if not second_stage.is_configured(config):
        return []
    inputs = (
        *_ROWS,
        *_side_inputs(config),
        POPULARITY,
        TRAINED.format(phase="select", bucket=MODEL),
        BLEND.format(phase="select", bucket=MODEL),
    )
    keys = ("rank", "train.metric_k", "graph", *_HIDDEN, "seed")
    return [Stage("rank", second_stage.choose, RANK, inputs, keys)]


def _rank_inputs(config: RunConfig) -> tuple[str, ...]:
    return (RANK, POPULARITY) if second_stage.is_configured(config) else ()


def _score(phase: PhaseName, config: RunConfig, variants: Sequence[str]) -> Stage:
    name, output = ("validate", VALIDATION) if phase == "select" else ("test-model", TEST)
    inputs: tuple[str, ...] = (*_ROWS, _of_phase(BLEND, phase), _of_phase(TRAINED, phase))
    if phase == "final":
        inputs += _rank_inputs(config)
    return Stage(name, training.score(phase), output, inputs, _JUDGED, buckets=tuple(variants))


def _similar() -> Stage:
    """By what items are similar in the model that is served."""
    inputs = (
        *_ROWS,
        TRAINED.format(phase="select", bucket=MODEL),
        BLEND.format(phase="select", bucket=MODEL),
    )
    keys = ("train.metric_k", "graph.target", "graph.negative_behaviors", *_HIDDEN, "seed")
    return Stage("similar", similar.choose, SIMILAR, inputs, keys)


def _ablations(config: RunConfig, ablated: Sequence[str]) -> list[Stage]:
    """The model without each part of its graph, when that is asked for."""
    if not ablated:
        return []
    inputs = (
        *_ROWS,
        *_side_inputs(config),
        *_content_inputs(config),
        GRAPH.format(phase="final"),
        TRAINED.format(phase="select", bucket=MODEL),
        BLEND.format(phase="select", bucket=MODEL),
    )
    keys = (*_LEARNED, "blend", "evaluate")
    buckets = tuple(ablated)
    return [Stage("ablate", ablation.rank_without, WITHOUT, inputs, keys, buckets=buckets)]


def _cold_start(config: RunConfig) -> Stage:
    """The tested model on visitors and on items that nobody took in train."""
    inputs = (
        *_ROWS,
        *_side_inputs(config),
        *_content_inputs(config),
        GRAPH.format(phase="final"),
        POPULARITY,
        TRAINED.format(phase="final", bucket=MODEL),
        BLEND.format(phase="final", bucket=MODEL),
    )
    keys = ("evaluate", "graph", "seed", *_content_keys(config))
    return Stage("cold_start", cold_start.judge, COLD_START, inputs, keys)


def _serve(config: RunConfig) -> list[Stage]:
    """Refit on the whole log, unless the tested model is to be served; and the bundle."""
    phase: PhaseName = "serve" if config.refit else "final"
    refit = [
        _graph("serve", config),
        _train("serve", (MODEL,)),
        _blend("serve", config, (MODEL,)),
        _index("serve"),
    ]
    inputs = (
        *_ROWS,
        *_side_inputs(config),
        *_content_inputs(config),
        GRAPH.format(phase=phase),
        TRAINED.format(phase=phase, bucket=MODEL),
        BLEND.format(phase=phase, bucket=MODEL),
        INDEX.format(phase=phase),
        POPULARITY,
        SIMILAR,
        REPORT,
        TEST.format(bucket=MODEL),
        *_rank_inputs(config),
    )
    served_keys = (*_LEARNED, *_SERVED, *_content_keys(config))
    keys = ("name", "refit", "clean", "split", "blend", *served_keys)
    bundled = Stage("bundle", serving.bundle(phase), None, inputs, keys)
    return [*refit, bundled] if config.refit else [bundled]


def _index(phase: PhaseName) -> Stage:
    """How to search the item vectors; those that are tested are also measured through the index."""
    inputs = [
        *_ROWS,
        TRAINED.format(phase=phase, bucket=MODEL),
        BLEND.format(phase=phase, bucket=MODEL),
    ]
    keys = ["index", "seed", "graph.target"]
    if phase == "final":
        inputs.append(TEST.format(bucket=MODEL))
        keys += ["evaluate", "graph.negative_behaviors"]
    output = INDEX.format(phase=phase)
    return Stage(f"index-{phase}", serving.index(phase), output, tuple(inputs), tuple(keys))


def _of_phase(output: str, phase: PhaseName) -> str:
    """An output of one phase, its bucket still open."""
    return output.replace("{phase}", phase)


def _files(data: DataConfig) -> tuple[str, ...]:
    """Everything that ingest reads; what a database answers is known when it was asked."""
    queries = [f"query of {data.connection_env}://"] if data.connection_env else []
    return (*ingest.files_of(data), *queries)
