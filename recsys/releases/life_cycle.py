"""The bundles of a run folder: which one is live, which was before, and the ways from one to
another.

`bundle` is a link that is switched in one step; `promotions.jsonl` keeps every switch, so that
rollback knows where to go. Switches exclude each other; a run may go on meanwhile, as it switches
only at its end.
"""

import json
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from recsys.bundle.bundle import Bundle
from recsys.bundle.files import written_at
from recsys.bundle.storage import as_data_error, load_document
from recsys.core.artefacts import RunFolder, atomic_file, exclusive, switch_link
from recsys.core.errors import GateRefused, UsageError, nearest
from recsys.experiments.definition import (
    all_experiments,
    bundles_in_use,
    save,
    with_other_bundle,
)
from recsys.releases.publish import load_verified

PROMOTIONS = "promotions.jsonl"
By = Literal["run", "promote", "rollback", "forget", "add-items"]
Load = Callable[[Path], Bundle]


@dataclass(frozen=True)
class Promotion:
    """One switch.

    time: ISO, UTC.
    bundle: name of the one that went live.
    before: name of the one that was live; None for the first.
    """

    time: str
    bundle: str
    before: str | None
    by: By
    forced: bool = False


@dataclass(frozen=True)
class Listed:
    """One bundle of a run folder.

    written: ISO, UTC.
    rolls_back_to: whether a rollback would go to it.
    held: whether it was never live.
    deciding: the metric that decides.
    test: its mean on the test, if known.
    """

    name: str
    written: str
    live: bool
    rolls_back_to: bool
    held: bool
    bytes: int
    users: int
    items: int
    deciding: str | None
    test: float | None
    verdict: str | None


def live(folder: RunFolder) -> str | None:
    """Name of the bundle that the link names; None without one."""
    return folder.bundle.resolve().name if folder.bundle.exists() else None


def history(folder: RunFolder) -> list[Promotion]:
    """Every switch that was recorded, oldest first."""
    file = folder.path / PROMOTIONS
    if not file.exists():
        return []
    lines = file.read_text(encoding="utf-8").splitlines()
    return [Promotion(**json.loads(line)) for line in lines]


def all_bundles(folder: RunFolder) -> list[Path]:
    """Every whole bundle of the folder, by name."""
    return [folder.bundles / name for name in sorted(_bundles(folder))]


def find(folder: RunFolder, name: str) -> Path:
    """The bundle called `name`, or whose name begins so. Raises UsageError for none and for
    several.
    """
    known = sorted(_bundles(folder))
    matching = [bundle for bundle in known if name and bundle.startswith(name)]
    if len(matching) != 1:
        what = f"{len(matching)} bundles begin with" if matching else "there is no bundle"
        hint = nearest(name, known) or f"{folder.path} has {known}"
        raise UsageError(f"{what} {name!r}", hint, code="unknown_bundle")
    return folder.bundles / matching[0]


def promote(
    folder: RunFolder, name: str, force: bool = False, load: Load = load_verified
) -> Promotion | None:
    """Verify a bundle and make it the live one; None when it is already.

    load: reads and verifies it. Raises DataError for a bundle that is damaged, GateRefused for one that its own report calls
    worse than another model (unless forced), UsageError for an unknown one and while another switch
    is under way.
    """
    with switching(folder):
        path = find(folder, name)
        bundle = load(path)
        if not force:
            require_never_worse(name, bundle.model_card)
        return _switch(folder, path, "promote", force)


def require_never_worse(name: str, card: Mapping[str, Any]) -> None:
    """The gate of every bundle before it goes live, by its model card. Raises GateRefused for one
    that its own report calls worse than another model.
    """
    if not card.get("never_worse", True):
        raise GateRefused(
            f"bundle {name} does not go live: {card['verdict']}",
            f"If you know better: recsys promote RUN {name} --force",
        )


def model_card_of(path: Path) -> dict[str, Any]:
    """Of a bundle's folder, without the rest of it. Raises DataError where it cannot be read."""
    with as_data_error(path):
        return dict(load_document(path / "model_card.json"))


def rollback(folder: RunFolder, load: Load = load_verified) -> Promotion:
    """Make the bundle live that was so before the present one; `load` as in `promote`. Raises
    UsageError when there is none, or it is damaged.
    """
    with switching(folder):
        name = rollback_target(folder)
        if name is None:
            raise UsageError(
                f"{folder.path} has no earlier bundle to go back to",
                "See recsys list; promote one of those instead",
                code="unknown_bundle",
            )
        load(folder.bundles / name)
        promotion = _switch(folder, folder.bundles / name, "rollback")
    if promotion is None:
        raise UsageError(f"bundle {name} is live already")
    return promotion


def publish(folder: RunFolder, path: Path, by: By = "run") -> Promotion | None:
    """Switch to a bundle that was just written, after other switches have ended."""
    with switching(folder, wait=True):
        return _switch(folder, path, by)


def was_live(folder: RunFolder, name: str) -> bool:
    """Whether a bundle is live, or was."""
    return name in _ever_live(folder)


def _ever_live(folder: RunFolder) -> set[str | None]:
    return names_in(history(folder)) | {live(folder)}


def names_in(promotions: Sequence[Promotion]) -> set[str | None]:
    """Bundles that were live before or after a switch."""
    names: set[str | None] = {promotion.bundle for promotion in promotions}
    return names | {promotion.before for promotion in promotions}


def rollback_target(folder: RunFolder) -> str | None:
    """Where a rollback would go: promotions are a pile, and a rollback takes one off."""
    return target_of_rollback(live(folder), history(folder), _bundles(folder))


def target_of_rollback(
    here: str | None, promotions: Sequence[Promotion], present: Collection[str]
) -> str | None:
    """The same, from which bundle is live, the switches, and the bundles that there are."""
    pile = _pile(promotions)
    if here is not None and (not pile or pile[-1] != here):
        pile.append(here)  # switched, but not recorded: by an older version, or cut off in between
    for name in reversed(pile[:-1]):
        if name in present and name != here:
            return name
    return None


def verify(folder: RunFolder, name: str) -> Path:
    """Compare every hash of a bundle and replay its golden requests. Raises DataError naming what
    is wrong.
    """
    path = find(folder, name)
    load_verified(path)
    return path


def prune(folder: RunFolder, keep: int) -> list[str]:
    """Delete all but the `keep` newest bundles, the live one, the one that rollback goes to, and those
    of an experiment under way; returns their names.

    Raises UsageError for keep < 1, and while a run or another switch is under way.
    """
    if keep < 1:
        raise UsageError(
            f"--keep {keep} would delete what the next run may serve", "Keep at least 1"
        )
    # No run may write meanwhile, and no switch change which bundles are needed.
    with folder.locked(), switching(folder):
        newest = [path.name for path in _newest_first(folder)]
        needed = {*newest[:keep], live(folder), rollback_target(folder)}
        needed |= bundles_in_use(folder)
        superfluous = [name for name in newest if name not in needed]
        for name in superfluous:
            delete(folder.bundles / name)
    return superfluous


def replace_bundle(folder: RunFolder, old: Path, new: Path) -> None:
    """Delete `old`; `new` takes its place as the live one, in the history and in experiments. Done
    again after a kill, it completes.
    """
    with switching(folder, wait=True):
        # The link first and the old files last: at every moment the live bundle is whole.
        if live(folder) == old.name:
            switch_link(folder.bundle, new)
        promotions = [_renamed(promotion, old, new) for promotion in history(folder)]
        write_history(folder, promotions)
        for experiment in all_experiments(folder):
            if old.name in experiment.bundles:
                save(folder, with_other_bundle(experiment, old.name, new.name))
        delete(old)


def delete(path: Path) -> None:
    """Remove a bundle; whoever looks meanwhile sees all of it or nothing."""
    # A rename is atomic, deleting files is not. What a kill left there before goes first.
    doomed = path.with_name(f".{path.name}.old")
    shutil.rmtree(doomed, ignore_errors=True)
    path.replace(doomed)
    shutil.rmtree(doomed)


def listed(folder: RunFolder) -> list[Listed]:
    """The bundles, newest first."""
    here, back = live(folder), rollback_target(folder)
    ever_live = _ever_live(folder)
    bundles = []
    for path in _newest_first(folder):
        name = path.name
        bundles.append(_listed(path, name == here, name == back, name not in ever_live))
    return bundles


def bundle_bytes(path: Path) -> int:
    """Size of its files on disk."""
    return sum(file.stat().st_size for file in path.iterdir())


def _listed(path: Path, is_live: bool, is_before: bool, is_held: bool) -> Listed:
    with as_data_error(path):
        card, facts = model_card_of(path), load_document(path / "bundle.json")
    deciding = card.get("deciding")
    return Listed(
        name=path.name,
        written=_iso(written_at(path)),
        live=is_live,
        rolls_back_to=is_before,
        held=is_held,
        bytes=bundle_bytes(path),
        users=facts["num_users"],
        items=facts["num_items"],
        deciding=deciding,
        test=card.get("test", {}).get(deciding),
        verdict=card.get("verdict"),
    )


@contextmanager
def switching(folder: RunFolder, wait: bool = False) -> Iterator[None]:
    """Nobody else changes which bundles are live, or tried. Raises UsageError while somebody does."""
    lock = folder.path / ".switch.lock"
    problem = f"{folder.path} is being switched"
    with exclusive(lock, problem, "Try again in a moment", wait):
        yield


def _switch(folder: RunFolder, path: Path, by: By, forced: bool = False) -> Promotion | None:
    """Link first: what is cut off before it is recorded is read off the link later."""
    before = live(folder)
    if before == path.name:
        return None
    switch_link(folder.bundle, path)
    now = _iso(datetime.now(UTC).timestamp())
    promotion = Promotion(now, path.name, before, by, forced)
    write_history(folder, [*history(folder), promotion])
    return promotion


def write_history(folder: RunFolder, promotions: list[Promotion]) -> None:
    """Write promotions.jsonl anew, whole or not at all."""
    lines = [json.dumps(asdict(promotion)) for promotion in promotions]
    with atomic_file(folder.path / PROMOTIONS) as file:
        file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _renamed(promotion: Promotion, old: Path, new: Path) -> Promotion:
    """With the name of `new` wherever it says that of `old`."""
    if promotion.bundle == old.name:
        promotion = replace(promotion, bundle=new.name)
    if promotion.before == old.name:
        promotion = replace(promotion, before=new.name)
    return promotion


def _pile(promotions: Sequence[Promotion]) -> list[str]:
    """Bundles that were live one after the other, without those that were rolled back; the live one
    on top.
    """
    pile: list[str] = []
    for promotion in promotions:
        if promotion.by == "rollback":
            # Back to where this bundle lies; what was above it was rolled back.
            while pile and pile[-1] != promotion.bundle:
                pile.pop()
        else:
            _put_on_top(pile, promotion.before)
        _put_on_top(pile, promotion.bundle)
    return pile


def _put_on_top(pile: list[str], name: str | None) -> None:
    """Unless it lies there already."""
    if name is not None and pile[-1:] != [name]:
        pile.append(name)


def _bundles(folder: RunFolder) -> set[str]:
    """Names of those that are whole."""
    if not folder.bundles.is_dir():
        return set()
    names = set()
    for path in folder.bundles.iterdir():
        is_hidden = path.name.startswith(".")
        if not is_hidden and (path / "manifest.json").exists():
            names.add(path.name)
    return names


def _newest_first(folder: RunFolder) -> list[Path]:
    paths = [folder.bundles / name for name in _bundles(folder)]
    return sorted(paths, key=written_at, reverse=True)


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
