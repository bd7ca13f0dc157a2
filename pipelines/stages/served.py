"""What goes live and why, in figures and words, from what the choice of a blend left."""

from typing import Literal

from recsys.core.noise import Difference
from recsys.evaluate.document import Served, ServedRow
from recsys.scores.blend import NO_BLEND
from recsys.scores.choice import Choice
from recsys.scores.rivals import Comparison
from recsys.scores.terms.trained_vectors import TrainedVectorsSettings

VECTORS_ALONE = "the trained vectors alone"


def served(choice: Choice, metric: str) -> Served | None:
    """For the report; None where validation decided nothing.

    metric: name of the deciding metric.
    """
    if choice.value is None or choice.alone is None:
        return None
    kind, title = _named(choice)
    rows = []
    if kind != "vectors" and choice.over_vectors is not None:
        rows.append(_row("Vectors alone", choice.alone, choice.over_vectors))
    for comparison in choice.comparisons:
        rows.append(_row_of_baseline(comparison))
    return Served(
        kind=kind,
        title=title,
        value=choice.value,
        users=choice.users,
        tried=len(choice.tried),
        line=_line(choice, title, metric),
        rows=rows,
    )


def _named(choice: Choice) -> tuple[Literal["vectors", "blend", "baseline"], str]:
    words = []
    for name, weight in choice.blend.explain().items():
        if weight:
            words.append(f"{name} {weight:g}")
    if choice.blend.of(TrainedVectorsSettings).weight:
        if choice.blend == NO_BLEND:
            return "vectors", VECTORS_ALONE
        if not words:
            return "blend", "the trained vectors, scaled as validation asks"
        return "blend", f"the trained vectors with {', '.join(words)}"
    return "baseline", f"{', '.join(words)}, without the trained vectors"


def _line(choice: Choice, title: str, metric: str) -> str:
    line = f"Goes live: {title}, {metric} {choice.value:.4f} on {choice.users:,} validation users"
    if choice.behind is None or choice.best is None or not choice.behind.mean:
        return f"{line}: the best of {len(choice.tried)} ways to score that were tried."
    gap = f"{choice.behind.mean:.4f}"
    if choice.behind.error < float("inf"):
        gap += f" ± {choice.behind.error:.4f}"
    return (
        f"{line}: the simplest within one standard error of the best of {len(choice.tried)} ways to "
        f"score that were tried (best {choice.best:.4f}, apart {gap})."
    )


def _row(title: str, value: float, difference: Difference) -> ServedRow:
    error = difference.error if difference.error < float("inf") else None
    return ServedRow(title=title, value=value, difference=difference.mean, error=error)


def _row_of_baseline(comparison: Comparison) -> ServedRow:
    title = comparison.title
    if comparison.as_term is not None and comparison.as_term != comparison.value:
        title += f" (as a term {comparison.as_term:.4f})"
    return ServedRow(
        title=title,
        value=comparison.value,
        difference=comparison.difference,
        error=comparison.error,
    )
