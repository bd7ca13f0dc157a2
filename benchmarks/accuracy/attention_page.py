"""benchmarks/notes/attention.md: what attention does, by dataset."""

from typing import Any

from benchmarks.accuracy import plots
from benchmarks.accuracy.text import figure, section, signed, table

_INTRODUCTION = """# What attention does

A layer weighs a neighbour u of v by a degree prior times exp(γ cos(h_u, h_v)), head by head, and γ starts at 0, where
the layer is weighted LightGCN. Below, by dataset: what a model gains over its twin with γ fixed at 0, retrained with
the same budget; whom it helps; what it learnt; and how far its attention departs from the prior. Entropy is that of
the attention weights over the neighbours of one node, divided by that of the prior alone: 1 where attention changes
nothing, lower where it picks out some neighbours.

    python -m benchmarks accuracy compare ROW GAMMA0_ROW DATASET
    python -m benchmarks accuracy attention ROW GAMMA0_ROW DATASET --data FOLDER
    python -m benchmarks accuracy page"""


def attention_page(
    facts: list[dict[str, Any]], comparisons: list[dict[str, Any]]
) -> dict[str, str]:
    """The files of the page by name; none without a measured dataset."""
    if not facts:
        return {}
    files = {
        "attention.md": "\n\n".join([_INTRODUCTION, *(_dataset(one, comparisons) for one in facts)])
        + "\n"
    }
    for one in facts:
        files[f"images/attention-entropy-{one['dataset']}.svg"] = plots.entropy(one["layers"])
        files[f"images/attention-slices-{one['dataset']}.svg"] = plots.slices(one["slices"])
    return files


def _dataset(facts: dict[str, Any], comparisons: list[dict[str, Any]]) -> str:
    name = facts["dataset"]
    pair = {"dataset": name, "row": facts["row"], "other": facts["other"]}
    apart = [one for one in comparisons if pair.items() <= one.items()]
    parts = [
        _paired(apart),
        "Where it helps: NDCG@10 on slices of the test, paired by user, seed "
        f"{facts['seed']}.\n\n![Attention minus γ = 0 on slices](images/attention-slices-{name}.svg)\n\n{_slices(facts)}",
        f"What it learnt, seed {facts['seed']}.\n\n{_learnt(facts)}",
        f"How far it departs from the prior: median and middle 80 % of nodes.\n\n"
        f"![Entropy by degree](images/attention-entropy-{name}.svg)",
    ]
    return section(
        f"{name}: `{facts['row']}` against `{facts['other']}`",
        "\n\n".join(part for part in parts if part),
    )


def _paired(comparisons: list[dict[str, Any]]) -> str:
    lines = [
        [
            one["metric"],
            figure(one["value"]),
            figure(one["other_value"]),
            *_interval(one),
            str(one["seeds"][0]),
        ]
        for one in comparisons
    ]
    return (
        table(["metric", "attention", "γ = 0", "difference", "95 % interval", "seeds"], lines)
        if lines
        else ""
    )


def _slices(facts: dict[str, Any]) -> str:
    lines = [
        [
            one["group"],
            one["label"],
            f"{one['users']:,}",
            figure(one["value"]),
            figure(one["other_value"]),
            *_interval(one),
        ]
        for one in facts["slices"]
    ]
    return table(["slice", "", "users", "attention", "γ = 0", "difference", "95 % interval"], lines)


def _learnt(facts: dict[str, Any]) -> str:
    lines = [
        [
            str(one["layer"]),
            one["relation"],
            ", ".join(f"{value:.2f}" for value in one["gamma"]),
            f"{one['source_exponent']:.2f}",
            f"{one['target_exponent']:.2f}",
        ]
        for one in facts["layers"]
    ]
    return table(
        ["layer", "relation", "γ by head", "exponent of the source", "of the target"], lines
    )


def _interval(one: dict[str, Any]) -> tuple[str, str]:
    return signed(one["difference"]), f"{signed(one['low'])} to {signed(one['high'])}"
