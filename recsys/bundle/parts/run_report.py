"""How the run that made the bundle did on its test. Files: report.json, report.html."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from recsys.bundle.files import REPORT_FILES
from recsys.bundle.part import Facts, ForgottenUser, Kinds, Parts, registered
from recsys.bundle.storage import load_document, save_document
from recsys.cold_items.new_items import NewItems

_DOCUMENT, _PAGE = REPORT_FILES


@registered
@dataclass(frozen=True)
class RunReport:
    """What the report says goes with the bundle that it speaks of, wherever that is served.

    document: report.json. page: the same to read, as HTML. Neither moves the name of a bundle: they
    tell what stages took.
    """

    document: dict[str, Any]
    page: str

    reads: ClassVar[Kinds] = ()

    def check(self, num_users: int, num_items: int) -> None:
        """It has no rows."""

    def save(self, folder: Path) -> Facts:
        save_document(folder / _DOCUMENT, self.document)
        (folder / _PAGE).write_text(self.page, encoding="utf-8")
        return {}

    @classmethod
    def load(cls, folder: Path, facts: Facts, parts: Parts) -> Self | None:
        return cls.read(folder) if (folder / _DOCUMENT).exists() else None

    @classmethod
    def read(cls, folder: Path) -> Self:
        """What a run wrote into its folder of the report."""
        page = (folder / _PAGE).read_text(encoding="utf-8")
        return cls(load_document(folder / _DOCUMENT), page)

    def append_items(self, new: NewItems, parts: Parts) -> Self:
        return self

    def drop_user(self, user: ForgottenUser) -> Self:
        return self
