"""The figures of a log that `recsys data check` shows."""

from dataclasses import asdict, dataclass, field
from typing import Any

UNREADABLE = "unreadable"  # a rating that is no number
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


@dataclass(frozen=True)
class CheckReport:
    """Figures of a log, JSON-able by `document`. Counts are of cleaned rows unless said.

    columns: log column → {"name", "type"} in the source. per_user, per_item: QUANTILES of rows.
    first_time, last_time: ISO text; None without a clock. sample: the first rows as they were understood.
    """

    files: tuple[str, ...]
    columns: dict[str, dict[str, str]]
    rows_read: int
    rows_kept: int
    drops: dict[str, int]
    users: int
    items: int
    behaviors: dict[str, int]
    per_user: dict[str, float]
    per_item: dict[str, float]
    first_time: str | None
    last_time: str | None
    time_unit: str | None
    midnight_share: float | None
    ratings: dict[str, int] | None
    duplicate_share: float
    sample: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """The report as JSON."""
        return asdict(self) | {"files": list(self.files)}
