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
    LOG,
    TEST,
    TRAINED,
    VALIDATION,
    WITHOUT,
)
from pipelines.runner import Facts, Work
from pipelines.stages.cold_start import FIGURES
from pipelines.stages.scores import Scored
from pipelines.stages.serving import THROUGH
from pipelines.stages.training import LIGHTGCN, MASS, MODEL
from recsys.core.arrays import Int32Array
from recsys.core.artefacts import read_json
from recsys.core.machine import versions
from recsys.core.tables import Drops
from recsys.evaluate.deciding import deciding_mean, deciding_metric
from recsys.evaluate.document import (
    ColdItems,
    Epoch,
    RelationRow,
    RunFacts,
    ThroughIndex,
    VisitorRow,
)
from recsys.evaluate.lists import catalogue_of
from recsys.evaluate.relations import relation_rows
from recsys.evaluate.report import Judged, Test, build_report, write_report
from recsys.evaluate.slices import cold_rows, slices_of
from recsys.graph.parts import configured_parts, part_of
from recsys.graph.schema import ITEM, Graph
from recsys.graph.store import load_graph
from recsys.phases.phase import Phase

Stages = Mapping[str, Any]
Role = Literal["model", "ablation", "baseline"]
_ROLES: dict[str, Role] = {MODEL: "model", LIGHTGCN: "ablation"}


def write(work: Work) -> Facts:
    """report.json and report.html from the lists that the models left; timings are those of the
    manifest.
    """
    config = work.config
    select, final = (load_phase(work.folder.path, config, phase) for phase in ("select", "final"))
    stages: Stages = work.folder.read_manifest()["stages"]
    audit = read_json(work.read(AUDIT) / "audit.json")
    report = build_report(
        _facts(work, final),
        [_judged(work, select, name, stages) for name in (MODEL, *config.evaluate.baselines)],
        _test(work, final),
        config.evaluate.ks,
        main=MODEL,
        draws=config.evaluate.bootstrap,
        seed=config.seed,
        history=[
            Epoch(**epoch) for epoch in stages[f"train-select[{MODEL}]"]["figures"]["history"]
        ],
        index=ThroughIndex(**read_json(work.read(INDEX.format(phase="final")) / THROUGH)),
        warnings=[
            *audit["warnings"],
            *(one["message"] for one in audit["findings"] if one["severity"] != "note"),
        ],
    )
    report = report.model_copy(update={**_cold_start(work), "relations": _relations(work, final)})
    write_report(report, work.out)
    work.progress.say(report.headline)
    work.progress.say(report.verdict.line)
    return Facts(rows_out=len(final.judge.held_out_users), figures={"headline": report.headline})


def _cold_start(work: Work) -> dict[str, Any]:
    """Fields of the report."""
    found = read_json(work.read(COLD_START) / FIGURES)
    cold = found["cold_items"]
    return {
        "visitors": [VisitorRow(**one) for one in found["visitors"]],
        "cold_items": None if cold is None else ColdItems(**cold),
    }


def _relations(work: Work, final: Phase) -> list[RelationRow]:
    """Shares of the messages, and what the model is without each part where that was asked for."""
    config, mass = work.config, work.read(TRAINED.format(phase="final", bucket=MODEL)) / MASS
    parts = configured_parts(config.graph)
    shares = read_json(mass) if mass.exists() else {}
    relations = dict.fromkeys(name for kind in shares.values() for name in kind)
    asked = parts if config.evaluate.ablate_relations else []
    scored = {part: Scored.load(work.read(WITHOUT.format(bucket=part))).ranked for part in asked}
    main = Scored.load(work.read(TEST.format(bucket=MODEL))).ranked
    return relation_rows(
        shares,
        {name: part_of(name, parts) for name in relations},
        {part: ranked for part, ranked in scored.items() if ranked is not None},
        np.empty((0, 0), np.int32) if main is None else main,
        final.judge.held_out_users,
        final.judge.held_out_matrix,
        deciding_metric(config.evaluate.ks[0]),
        config.evaluate.bootstrap,
        config.seed,
    )


def _facts(work: Work, final: Phase) -> RunFacts:
    config, log, held_out = work.config, final.log, final.judge.held_out
    ingested, splits = read_json(work.read(LOG) / "ingest.json"), final.required_splits
    drops = Drops(ingested["drops"]) + splits.drops + held_out.dropped
    data = config.data.log if isinstance(config.data.log, str) else ", ".join(config.data.log or [])
    return RunFacts(
        name=config.name,
        data=data or f"{config.data.train}, {config.data.test}",
        target=final.target,
        split=splits.method,
        time_safe=splits.time_safe,
        cuts=splits.cuts,
        rows={part: len(getattr(splits, part)) for part in ("train", "validation", "test")},
        users=len(log.users),
        items=len(log.items),
        warm_users=len(final.judge.held_out_users),
        drops=dict(drops),
        seeds=[config.seed],
        versions=versions(),
        settings=config.model_dump(
            mode="json", include={"clean", "split", "graph", "model", "train", "evaluate"}
        ),
    )


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
    """Fitting on train and validation and ranking the test users; choosing the settings is not in
    it.
    """
    steps = ("train-final", "test-model", "test")
    return round(
        sum(
            float(stages[f"{step}[{name}]"]["seconds"])
            for step in steps
            if f"{step}[{name}]" in stages
        ),
        3,
    )


def _test(work: Work, final: Phase) -> Test:
    graph = load_graph(work.read(GRAPH.format(phase="final")))
    catalogue = catalogue_of(final.interactions, final.target, _attributes(graph))
    slices = tuple(
        slices_of(final.interactions, final.judge.held_out_matrix, final.target, catalogue)
    )
    return Test(
        final.judge.held_out_users,
        final.judge.held_out_matrix,
        catalogue,
        slices,
        cold_rows(final.judge.held_out),
    )


def _attributes(graph: Graph) -> sparse.csr_matrix | None:
    """(items, values) 0/1 matrix of every attribute of items in the graph; None when there is none."""
    found = [
        edges
        for (source, _, kind), edges in graph.relations.items()
        if source == ITEM and kind.startswith("item:")
    ]
    if not found:
        return None
    matrices = [
        sparse.csr_matrix(
            (np.ones(edges.num_edges, np.float32), edges.indices.numpy(), edges.indptr.numpy()),
            shape=(edges.num_dst, edges.num_src),
        )
        for edges in found
    ]
    return sparse.vstack(matrices).T.tocsr()
