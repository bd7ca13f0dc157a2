"""What the figures say, in sentences: the winner on validation, "never worse", and the headline."""

from collections.abc import Sequence

from recsys.evaluate.deciding import list_length
from recsys.evaluate.document import Comparison, ModelRow, Verdict

_KINDS = {"baseline": "a baseline", "ablation": "a simpler variant", "model": "a model"}


def verdict(
    rows: Sequence[ModelRow], comparisons: Sequence[Comparison], main: str, deciding: str
) -> Verdict:
    """The best model on validation (on the test when validation decided nothing), and whether any
    other beats `main`.
    """
    ranked = [row for row in rows if row.metrics]
    on_validation = [row for row in ranked if row.validation is not None]
    validated = any(row.name == main for row in on_validation)
    if validated:
        winner = max(on_validation, key=_validation)
    else:
        winner = max(ranked, key=lambda row: row.metrics[deciding].value)
    titles = {row.name: row.title for row in rows}
    better = []
    for comparison in comparisons:
        if comparison.metric == deciding and comparison.finding == "worse":
            better.append(titles[comparison.other])
    return Verdict(
        winner=winner.name,
        decided_on="validation" if validated else "test",
        never_worse=not better,
        line=_line(winner, titles[main], validated, deciding, better),
    )


def headline(
    rows: Sequence[ModelRow], comparisons: Sequence[Comparison], main: str, deciding: str
) -> str:
    """One sentence that a manager can read: how often the list hits, and how that compares with the
    best alternative.
    """
    titles = {row.name: row.title for row in rows}
    metrics = {row.name: row.metrics for row in rows}
    k = list_length(deciding)
    hit_rate = metrics[main][f"hr@{k}"].value
    opening = (
        f"{_capital(titles[main])} puts at least one right item into the top {k} for "
        f"{hit_rate:.0%} of users"
    )
    by_rival = {}
    for comparison in comparisons:
        if comparison.metric == deciding:
            by_rival[comparison.other] = comparison
    rivals = [row for row in rows if row.name in by_rival]
    if not rivals:
        return f"{opening}; nothing was compared with it."
    best = max(rivals, key=lambda rival: rival.metrics[deciding].value)
    return f"{opening}; {_versus(by_rival[best.name], best, deciding)}."


def _validation(row: ModelRow) -> float:
    return -1.0 if row.validation is None else row.validation


def _line(
    winner: ModelRow, title: str, validated: bool, deciding: str, better: Sequence[str]
) -> str:
    """What a reader should know of the choice.

    Args:
        winner: The best model.
        title: Of the main model.
        validated: Whether validation chose, or else the test.
        deciding: Name of the deciding metric.
        better: Titles of models that are better than the main one on the test.
    """
    where = f"the test ({deciding.upper()}); nothing was held out for validation"
    if validated:
        where = f"validation ({deciding.upper()} {winner.validation:.4f})"
    if winner.title != title:
        return (
            f"Best on {where}: {winner.title}, {_KINDS[winner.role]}. "
            f"{_capital(title)} is not the best choice for this log."
        )
    if better:
        return f"Best on {where}: {title}; but on the test it is worse than {', '.join(better)}."
    return f"Best on {where}: {title}; no other is better than it on the test."


def _versus(comparison: Comparison, best: ModelRow, deciding: str) -> str:
    """The main model against the best alternative."""
    name = deciding.upper()
    low, high = f"{comparison.low:+.4f}", f"{comparison.high:+.4f}"
    interval = f"95 % interval of the difference {low} to {high}".replace("-", "−")
    rival = f"that of the best alternative, {best.title}"
    if comparison.finding == "undecided":
        # An interval that leaves out 0 would contradict the sentence without this reason.
        leaves_out_zero = comparison.low > 0 or comparison.high < 0
        corrected = ", corrected for the number of comparisons" if leaves_out_zero else ""
        return f"its {name} cannot be told apart from {rival} ({interval}{corrected})"
    distance = _apart(comparison.difference, best.metrics[deciding].value)
    return f"its {name} is {distance} {rival} ({interval})"


def _apart(difference: float, base: float) -> str:
    """ "3.2% above", "1.0% below", "4.5 times"; without a number when there is nothing to divide
    by.
    """
    if base and difference >= base:
        return f"{1 + difference / base:.1f} times"
    side = "above" if difference > 0 else "below"
    if not base:
        return side
    return f"{abs(difference) / base:.1%} {side}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
