"""The report: every model on the same test users."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from scipy import sparse

from pipelines.phases_on_disk import load_phase
from pipelines.places import (
    AUDIT,
    COLD_START,
    GRAPH,
    INDEX,
    LIGHTGCN,
    LOG,
    MODEL,
    TEST,
    TRAINED,
    VALIDATION,
    WITHOUT,
)
from pipelines.runner import Facts, Work
from pipelines.stages.cold_start import FIGURES
from pipelines.stages.scores import Scored
from pipelines.stages.second_stage import second_stage_figures
from pipelines.stages.serving import THROUGH
from pipelines.stages.similar import chosen_similar
from pipelines.stages.took import left_out, stage_rows
from pipelines.stages.training import MASS
from recsys.core.arrays import Int32Array
from recsys.core.artefacts import read_json
from recsys.core.config import DataConfig
from recsys.core.machine import versions
from recsys.core.tables import Drops
from recsys.evaluate.deciding import deciding_mean, deciding_metric
from recsys.evaluate.document import (
    ColdItems,
    ContentRow,
    Epoch,
    RelationRow,
    RunFacts,
    Served,
    StageRow,
    ThroughIndex,
    TraitRow,
    VisitorRow,
)
from recsys.evaluate.lists import catalogue_of
from recsys.evaluate.relations import relation_rows
from recsys.evaluate.report import Judged, Test, build_report, write_report
from recsys.evaluate.slices import cold_rows, slices_of
from recsys.graph.parts import configured_parts, part_of
from recsys.graph.schema import ITEM, Graph
from recsys.graph.store import load_graph
from recsys.logs.split import Splits
from recsys.phases.phase import Phase

Stages = Mapping[str, Any]
Role = Literal["model", "ablation", "baseline"]
_LATER = ("report", "graph-serve", "train-serve", "blend-serve", "index-serve", "bundle")
"""A run of before may have left figures of them, which are not this one's."""
_ROLES: dict[str, Role] = {MODEL: "model", LIGHTGCN: "ablation"}


def write(work: Work) -> Facts:
    """report.json and report.html from the lists that the models left.

    Timings are those of the manifest.
    """
    config = work.config
    select = load_phase(work.folder.path, config, "select")
    final = load_phase(work.folder.path, config, "final")
    stages: Stages = work.folder.read_manifest()["stages"]
    models = []
    for name in (MODEL, *config.evaluate.baselines):
        models.append(_judged(work, select, name, stages))
    blended = stages[f"blend-select[{MODEL}]"]["figures"].get("served")
    epochs = stages[f"train-select[{MODEL}]"]["figures"]["history"]
    through_index = read_json(work.read(INDEX.format(phase="final")) / THROUGH)
    report = build_report(
        _facts(work, final),
        models,
        _test(work, final),
        config.evaluate.ks,
        main=MODEL,
        draws=config.evaluate.bootstrap,
        seed=config.seed,
        history=[Epoch(**epoch) for epoch in epochs],
        index=ThroughIndex(**through_index),
        warnings=_warnings(work),
    )
    more = {
        **_cold_start(work),
        "traits": _traits(work),
        "relations": _relations(work, final),
        "budget_minutes": config.budget_minutes,
        "left_out": left_out(work.folder),
        "second_stage": second_stage_figures(work, final),
        "similar_items": chosen_similar(work).get("line", ""),
        "stages": _earlier_than_report(work, stages),
    }
    if blended is not None:
        more["served"] = Served(**blended)
    report = report.model_copy(update=more)
    write_report(report, work.out)
    work.progress.say(report.headline)
    work.progress.say(report.verdict.line)
    return Facts(rows_out=len(final.judge.held_out_users), figures={"headline": report.headline})


def _earlier_than_report(work: Work, stages: Stages) -> list[StageRow]:
    """What stages took; those that run after the report have a forecast alone."""
    rows = []
    for row in stage_rows(work.folder, stages):
        is_later = row.name.split("[")[0] in _LATER
        if is_later:
            row = row.model_copy(update={"seconds": None, "memory_bytes": None, "disk_bytes": None})
        rows.append(row)
    return rows


def _warnings(work: Work) -> list[str]:
    """What the audit has to say, notes aside."""
    audit = read_json(work.read(AUDIT) / "audit.json")
    warnings: list[str] = list(audit["warnings"])
    for finding in audit["findings"]:
        if finding["severity"] != "note":
            warnings.append(finding["message"])
    return warnings


def _traits(work: Work) -> list[TraitRow]:
    """Validation beside the test, as the audit compared them."""
    audit = read_json(work.read(AUDIT) / "audit.json")
    return [TraitRow(**measure) for measure in audit.get("comparison", [])]


def _cold_start(work: Work) -> dict[str, Any]:
    """Fields of the report."""
    figures = read_json(work.read(COLD_START) / FIGURES)
    cold = figures["cold_items"]
    return {
        "visitors": [VisitorRow(**row) for row in figures["visitors"]],
        "cold_items": None if cold is None else ColdItems(**cold),
        "content": [ContentRow(**row) for row in figures.get("content", [])],
    }


def _relations(work: Work, final: Phase) -> list[RelationRow]:
    """Shares of the messages, and what the model is without each part where that was asked for."""
    config = work.config
    parts = configured_parts(config.graph)
    mass_file = work.read(TRAINED.format(phase="final", bucket=MODEL)) / MASS
    mass = read_json(mass_file) if mass_file.exists() else {}
    part_by_relation = {}
    for shares in mass.values():
        for relation in shares:
            part_by_relation[relation] = part_of(relation, parts)
    lists = {}
    for name in parts if config.evaluate.ablate_relations else []:
        ranked = Scored.load(work.read(WITHOUT.format(bucket=name))).ranked
        if ranked is not None:
            lists[name] = ranked
    main = Scored.load(work.read(TEST.format(bucket=MODEL))).ranked
    return relation_rows(
        mass,
        part_by_relation,
        lists,
        np.empty((0, 0), np.int32) if main is None else main,
        final.judge.held_out_users,
        final.judge.held_out_matrix,
        deciding_metric(config.evaluate.ks[0]),
        config.evaluate.bootstrap,
        config.seed,
    )


def _facts(work: Work, final: Phase) -> RunFacts:
    config = work.config
    log, splits = final.log, final.required_splits
    ingested = read_json(work.read(LOG) / "ingest.json")
    drops = Drops(ingested["drops"]) + splits.drops + final.judge.held_out.dropped
    rows = {
        "train": len(splits.train),
        "validation": len(splits.validation),
        "test": len(splits.test),
    }
    shown_settings = {"clean", "split", "graph", "model", "train", "evaluate"}
    return RunFacts(
        name=config.name,
        data=_data_files(config.data),
        target=final.target,
        split=splits.method,
        validation_method=_validation_method(splits),
        task=config.evaluate.task,
        time_safe=splits.time_safe,
        cuts=splits.cuts,
        rows=rows,
        users=len(log.users),
        items=len(log.items),
        warm_users=len(final.judge.held_out_users),
        drops=dict(drops),
        seeds=[config.seed],
        versions=versions(),
        settings=config.model_dump(mode="json", include=shown_settings),
    )


def _validation_method(splits: Splits) -> str:
    """Empty where it is that of the split, or a file says it."""
    method = splits.validation_method
    return "" if method in (splits.method, "given") else method


def _data_files(data: DataConfig) -> str:
    if isinstance(data.log, str):
        return data.log
    if data.log:
        return ", ".join(data.log)
    if data.query or data.query_file:
        return f"the query of {data.database or data.connection_env}"
    return f"{data.train}, {data.test}"


def _judged(work: Work, select: Phase, name: str, stages: Stages) -> Judged:
    """One model: its lists on the test, and the deciding metric on validation."""
    tested = Scored.load(work.read(TEST.format(bucket=name)))
    validated = Scored.load(work.read(VALIDATION.format(bucket=name)))
    return Judged(
        name=name,
        title=tested.title,
        role=_ROLES.get(name, "baseline"),
        ranked=tested.ranked,
        params=tested.params,
        validation=_deciding(select, validated.ranked),
        seconds=_seconds(name, stages),
        skipped=tested.skipped,
    )


def _deciding(select: Phase, ranked: Int32Array | None) -> float | None:
    if ranked is None or not len(ranked):
        return None
    k = select.config.evaluate.ks[0]
    return deciding_mean(ranked, select.judge.held_out_users, select.judge.held_out_matrix, k)


def _seconds(name: str, stages: Stages) -> float:
    """Fitting on train and validation and ranking the test users; no choice of settings."""
    seconds = 0.0
    for step in ("train-final", "test-model", "test"):
        entry = stages.get(f"{step}[{name}]")
        if entry is not None:
            seconds += float(entry["seconds"])
    return round(seconds, 3)


def _test(work: Work, final: Phase) -> Test:
    judge = final.judge
    graph = load_graph(work.read(GRAPH.format(phase="final")))
    catalogue = catalogue_of(final.interactions, final.target, _attributes(graph))
    slices = slices_of(final.interactions, judge.held_out_matrix, final.target, catalogue)
    return Test(
        judge.held_out_users,
        judge.held_out_matrix,
        catalogue,
        tuple(slices),
        cold_rows(judge.held_out),
    )


def _attributes(graph: Graph) -> sparse.csr_matrix | None:
    """(items, values) 0/1 matrix of every attribute of items in the graph; None without any."""
    matrices = []
    for (source, _, destination), edges in graph.relations.items():
        if source == ITEM and destination.startswith("item:"):
            ones = np.ones(edges.num_edges, np.float32)
            rows = (ones, edges.indices.numpy(), edges.indptr.numpy())
            matrices.append(sparse.csr_matrix(rows, shape=(edges.num_dst, edges.num_src)))
    if not matrices:
        return None
    return sparse.vstack(matrices).T.tocsr()
