"""What a run folder in object storage holds, as one small document: its bundles, which is live, every
switch, and its files by hash.
"""

import json
from dataclasses import asdict, dataclass, field, replace

from recsys.bundle.files import is_name
from recsys.core.errors import DataError
from recsys.releases import life_cycle
from recsys.releases.life_cycle import Listed, Promotion

FORMAT = 1
STATE = "run.json"


@dataclass(frozen=True)
class Stored:
    """One bundle of a state.

    facts: as listed.
    folder: of its files below the URL.
    manifest: sha256 of its manifest.
    """

    facts: Listed
    folder: str
    manifest: str


@dataclass(frozen=True)
class State:
    """What a run folder holds.

    live: name of a bundle; None before the first.
    promotions: every switch, oldest first.
    bundles, files: by name; a file has its sha256.
    """

    live: str | None = None
    promotions: tuple[Promotion, ...] = ()
    bundles: dict[str, Stored] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)

    def to_json(self, write: str) -> bytes:
        """write: differs from write to write, so that two writers of the same state in the same second
        write different bytes: by these a writer knows its own.
        """
        document = {"format": FORMAT, "write": write, **asdict(self)}
        return json.dumps(document, indent=2, sort_keys=True).encode() + b"\n"

    @staticmethod
    def from_json(content: bytes, url: str) -> "State":
        """Raises DataError for what is no state of this format."""
        try:
            document = json.loads(content)
            if document["format"] != FORMAT:
                raise DataError(
                    f"{url}/{STATE} has format {document['format']}, this version reads {FORMAT}",
                    "Use the version of recsys that wrote it",
                )
            bundles = {}
            for name, stored in document["bundles"].items():
                facts = Listed(**stored["facts"])
                bundles[name] = Stored(facts, stored["folder"], stored["manifest"])
            promotions = tuple(Promotion(**promotion) for promotion in document["promotions"])
            live = document["live"]
            names = [*bundles] if live is None else [*bundles, live]
            for name in names:
                if name not in bundles or not is_name(name):
                    raise ValueError(f"{name!r} is no bundle of it")
            return State(live, promotions, bundles, dict(document["files"]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{url}/{STATE} is damaged: {error}", "Publish a run there again"
            ) from error

    def listed(self) -> list[Listed]:
        """The bundles, newest first."""
        back = life_cycle.target_of_rollback(self.live, self.promotions, self.bundles)
        was_live = life_cycle.names_in(self.promotions) | {self.live}
        bundles = []
        for name, stored in self.bundles.items():
            bundles.append(
                replace(
                    stored.facts,
                    live=name == self.live,
                    rolls_back_to=name == back,
                    held=name not in was_live,
                )
            )
        return sorted(bundles, key=lambda facts: facts.written, reverse=True)

    def after_run(self, pulled: "State", mine: "State") -> "State":
        """This state with what a run added to the one that it began with; its switches come last."""
        # A history only grows: what lies beyond the pulled one is this run's.
        switches = mine.promotions[len(pulled.promotions) :]
        live = mine.live if switches else self.live
        bundles = {**self.bundles, **mine.bundles}
        return State(live, (*self.promotions, *switches), bundles, {**self.files, **mine.files})
