"""A list with its reasons as people see it: in a notebook as HTML, in a terminal as a table."""

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from recsys.lookup.answers import Answer, Item
from recsys.lookup.explanations.words import plain_text

if TYPE_CHECKING:
    from rich.table import Table

_COLUMNS = ("rank", "item", "score", "because")


@dataclass(frozen=True)
class ShownList:
    """One list, to look at.

    asked: who it is for.
    answer: of `Lookup.recommend` with explain.
    """

    asked: str
    answer: Answer

    def __str__(self) -> str:
        lines = [self.title]
        for rank, item, score, reasons in self.rows:
            lines.append(f"{rank:>3}  {item}  {score}  {reasons}".rstrip())
        return "\n".join(lines)

    __repr__ = __str__

    def __rich__(self) -> "Table":
        """The list for `rich.print`, and for terminals that use it."""
        from rich.box import SIMPLE
        from rich.table import Table
        from rich.text import Text

        table = Table(title=self.title, title_justify="left", box=SIMPLE)
        for column in _COLUMNS:
            table.add_column(column, overflow="fold")
        for row in self.rows:
            table.add_row(*(Text(cell) for cell in row))
        return table

    def _repr_html_(self) -> str:
        """The list for notebooks; whatever a title holds is text."""
        head = "".join(f"<th>{column}</th>" for column in _COLUMNS)
        lines = [f"<table><caption>{escape(self.title)}</caption><thead><tr>{head}</tr></thead>"]
        for row in self.rows:
            cells = "".join(f"<td>{escape(cell)}</td>" for cell in row)
            lines.append(f"<tr>{cells}</tr>")
        return "\n".join([*lines, "</table>"])

    @property
    def title(self) -> str:
        """Who the list is for, and why it is short where it is."""
        note = self.answer.get("note", "")
        return f"For {self.asked}" + (f" ({note})" if note else "")

    @property
    def rows(self) -> list[tuple[str, str, str, str]]:
        """Rank, title or id, score, and reasons of each item."""
        return [_row(item) for item in self.answer["items"]]


def _row(item: Item) -> tuple[str, str, str, str]:
    reasons = [plain_text(reason["text"]) for reason in item.get("reasons", [])]
    name = item.get("title") or item["id"]
    return str(item["rank"]), name, f"{item['score']:.3f}", "; ".join(reasons)
