"""What the figures say, in sentences: the winner on validation, "never worse", and the headline."""

from collections.abc import Sequence

from recsys.evaluate.document import Comparison, ModelRow, Verdict


def verdict(
    rows: Sequence[ModelRow], comparisons: Sequence[Comparison], main: str, deciding: str
) -> Verdict:
    """The best model on validation (on the test when validation decided nothing), and whether any
    other beats `main`.
    """
    ranked = [row for row in rows if row.metrics]
    on_validation = [row for row in ranked if row.validation is not None]
    validated = main in [row.name for row in on_validation]
    winner = max(
        on_validation if validated else ranked, key=lambda row: _standing(row, validated, deciding)
    )
    worse_than = [
        one.other for one in comparisons if one.metric == deciding and one.finding == "worse"
    ]
    titles = {row.name: row.title for row in rows}
    return Verdict(
        winner=winner.name,
        decided_on="validation" if validated else "test",
        never_worse=winner.name == main and not worse_than,
        line=_line(
            winner, titles[main], validated, deciding, [titles[name] for name in worse_than]
        ),
    )


def headline(
    rows: Sequence[ModelRow], comparisons: Sequence[Comparison], main: str, deciding: str
) -> str:
    """One sentence that a manager can read: how often the list hits, and how that compares with the
    best alternative.
    """
    row = next(row for row in rows if row.name == main)
    k = deciding.partition("@")[2]
    share = row.metrics[f"hr@{k}"].value
    opening = f"{_capital(row.title)} puts at least one right item into the top {k} for {share:.0%} of users"
    others = {one.other: one for one in comparisons if one.metric == deciding}
    rivals = [row for row in rows if row.name in others]
    if not rivals:
        return f"{opening}; nothing was compared with it."
    best = max(rivals, key=lambda rival: rival.metrics[deciding].value)
    return f"{opening}; {_versus(others[best.name], best, deciding)}."


def _standing(row: ModelRow, validated: bool, deciding: str) -> float:
    return (
        row.validation if validated and row.validation is not None else row.metrics[deciding].value
    )


def _line(
    winner: ModelRow, title: str, validated: bool, deciding: str, worse_than: list[str]
) -> str:
    where = (
        f"validation ({deciding.upper()} {winner.validation:.4f})"
        if validated
        else f"the test ({deciding.upper()}); nothing was held out for validation"
    )
    if winner.title != title:
        kind = {"baseline": "a baseline", "ablation": "a simpler variant", "model": "a model"}[
            winner.role
        ]
        return f"Best on {where}: {winner.title}, {kind}. {_capital(title)} is not the best choice for this log."
    if worse_than:
        return (
            f"Best on {where}: {title}; but on the test it is worse than {', '.join(worse_than)}."
        )
    return f"Best on {where}: {title}; no other is better than it on the test."


def _versus(one: Comparison, best: ModelRow, deciding: str) -> str:
    base = best.metrics[deciding].value
    name = deciding.upper()
    interval = f"95 % interval of the difference {one.low:+.4f} to {one.high:+.4f}".replace(
        "-", "−"
    )
    if one.finding == "undecided":
        # An interval that leaves out 0 would contradict the sentence without this reason.
        corrected = (
            ", corrected for the number of comparisons" if one.low > 0 or one.high < 0 else ""
        )
        return f"its {name} cannot be told apart from that of the best alternative, {best.title} ({interval}{corrected})"
    return f"its {name} is {_apart(one.difference, base)} that of the best alternative, {best.title} ({interval})"


def _apart(difference: float, base: float) -> str:
    """ "3.2% above", "1.0% below", "4.5 times"; without a number when there is nothing to divide
    by.
    """
    if base and difference >= base:
        return f"{1 + difference / base:.1f} times"
    share = f"{abs(difference) / base:.1%} " if base else ""
    return f"{share}{'above' if difference > 0 else 'below'}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
