"""What others published, and our rows beside it: the parts of benchmarks/notes/accuracy.md that
published.toml feeds.
"""

import tomllib
from collections.abc import Sequence
from typing import Any

from benchmarks.accuracy.cells import measured, pair, seeds
from benchmarks.accuracy.results import Summaries, Summary
from benchmarks.accuracy.rows import ABLATION, FOLDER, PEER
from benchmarks.accuracy.text import section, signed, table

PUBLISHED_SETS = {"gowalla": "Gowalla", "yelp2018": "Yelp2018"}
_FILE = FOLDER / "published.toml"


def published() -> dict[str, Any]:
    """The document."""
    return tomllib.loads(_FILE.read_text(encoding="utf-8"))


def goals(summaries: Summaries, known: dict[str, Any]) -> str:
    """The best published figures by kind, then the goal rows with ours and the distance."""
    lines = [
        [best["kind"], *(_holder(best[name]) for name in PUBLISHED_SETS)] for best in known["best"]
    ]
    for goal in known["goal"]:
        lines.append(
            [
                f"**goal, `{goal['row']}`** ({goal['title']})",
                *(pair(goal[name]) for name in PUBLISHED_SETS),
            ]
        )
        for selected in ("validation", "test"):
            ours = [summaries.get((name, goal["row"], selected)) for name in PUBLISHED_SETS]
            if any(ours) or selected == "validation":
                pairs = zip(ours, PUBLISHED_SETS, strict=True)
                cells = [_against(summary, goal[name]) for summary, name in pairs]
                lines.append(
                    [f"ours, `{goal['row']}`{' (on test)' if selected == 'test' else ''}", *cells]
                )
    return table(["Recall@20 / NDCG@20", *PUBLISHED_SETS.values()], lines)


def ladder(
    dataset: str, summaries: Summaries, known: dict[str, Any], titles: dict[str, str]
) -> str:
    """Published methods and our rows in one table, best Recall@20 first."""
    lines = [
        (method[dataset][0], [method["name"], pair(method[dataset]), method["source"]])
        for method in known["method"]
        if dataset in method
    ]
    for (name, row, selected), summary in summaries.items():
        if name == dataset and not row.startswith(ABLATION):
            source = f"`{row}`, {seeds(summary)}{', on test' if selected == 'test' else ''}"
            lines.append(
                (
                    summary.mean["recall@20"],
                    [f"**{titles.get(row, row)}**", measured(summary), source],
                )
            )
    ordered = sorted(lines, key=lambda line: -line[0])
    return table(["method", "Recall@20 / NDCG@20", "source"], [line for _, line in ordered])


def ladder_points(
    summaries: Summaries, known: dict[str, Any]
) -> dict[str, list[tuple[str, float, bool]]]:
    """(name, Recall@20, whether it is ours) of the named rows and the published methods, by
    dataset.
    """
    points: dict[str, list[tuple[str, float, bool]]] = {}
    for dataset, title in PUBLISHED_SETS.items():
        points[title] = [
            (one["name"], one[dataset][0], False) for one in known["method"] if dataset in one
        ]
        for (name, row, selected), one in summaries.items():
            if (
                name == dataset
                and selected == "validation"
                and not row.startswith((ABLATION, PEER))
            ):
                points[title].append((row, one.mean["recall@20"], True))
    return points


def _holder(best: Sequence[Any]) -> str:
    name, recall, ndcg = best
    return f"{pair((recall, ndcg))} ({name})"


def _against(one: Summary | None, goal: Sequence[float]) -> str:
    """Our figures with the distance from the goal, of a row that was run."""
    if one is None:
        return "not measured"
    apart = [
        signed(one.mean[metric] - wanted)
        for metric, wanted in zip(("recall@20", "ndcg@20"), goal, strict=True)
    ]
    return f"{measured(one)} ({' / '.join(apart)}; {seeds(one)})"


def sources() -> str:
    """What stands behind the names of sources: the comment that opens published.toml."""
    lines = _FILE.read_text(encoding="utf-8").splitlines()
    comment = [line.removeprefix("#").strip() for line in lines[: lines.index("[[goal]]")]]
    return section("Sources of the published figures", "\n".join(comment).strip())
