"""The steps of `recsys init`: propose, write, tell."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipelines.console import print_table, print_text
from pipelines.proposed_toml import MARK, proposed_toml
from pipelines.schema import SCHEMA, write_schema
from recsys.core.artefacts import atomic_file
from recsys.core.config import load_config, require_files
from recsys.core.config.load import read_toml
from recsys.core.tables import BEHAVIOR, ITEM_ID, RATING, TIME, USER_ID
from recsys.logs.column_roles import Choice
from recsys.logs.proposal import Proposal, as_proposed, propose

_COLUMNS = {
    "data.user_col": USER_ID,
    "data.item_col": ITEM_ID,
    "data.time_col": TIME,
    "data.behavior_col": BEHAVIOR,
    "data.rating_col": RATING,
}


def propose_columns(
    log: str | list[str],
    keys: Mapping[str, object],
    ask: Callable[[Choice], Choice] | None,
) -> Proposal:
    """The proposal for a log.

    Args:
        log: File, folder, glob or URL, or several.
        keys: Columns that flags name, by configuration key; None where none does.
        ask: Asked about what is not sure; nobody when None.

    Returns:
        The proposal.

    Raises:
        DataError: The log cannot be read.
    """
    named = {}
    for key, column in _COLUMNS.items():
        if keys.get(key) is not None:
            named[column] = str(keys[key])
    return propose(log, named, ask or as_proposed)


def write(proposal: Proposal, out: Path) -> None:
    """Write the configuration and the schema that it names, and read it as a run would."""
    out.parent.mkdir(parents=True, exist_ok=True)
    write_schema(out.parent / SCHEMA)
    text = proposed_toml(proposal, out.parent, _name_of(proposal), SCHEMA)
    with atomic_file(out) as unfinished:
        unfinished.write_text(text, encoding="utf-8")
    require_files(load_config(out), out.parent, read_toml(out))


def print_proposal(proposal: Proposal, out: Path) -> None:
    """What is proposed, and why, as a table; then what is not sure."""
    rows = []
    for choice in proposal.choices:
        mark = "" if choice.is_sure else MARK
        rows.append([mark, choice.key, _shown(choice.value), choice.question or choice.reason])
    print_table(f"Proposed in {out}", ["", "key", "value", "why"], rows)
    if proposal.unused:
        print_text(f"Columns that are not used: {', '.join(proposal.unused)}")
    count = len(proposal.questions)
    if count:
        print_text(
            f"Not sure of {count}: look for {MARK} in {out}, or answer with flags (--user-col …)"
        )


def document(proposal: Proposal, out: Path, sample: Mapping[str, Any] | None) -> dict[str, Any]:
    """The proposal as JSON. sample: what a run of a sample found; None where none ran."""
    choices = []
    for choice in proposal.choices:
        entry = {"key": choice.key, "value": choice.value, "reason": choice.reason}
        if not choice.is_sure:
            entry |= {"question": choice.question, "options": list(choice.options)}
        choices.append(entry)
    return {
        "file": str(out),
        "choices": choices,
        "unused": proposal.unused,
        "rows": proposal.check.rows_read,
        "users": proposal.check.users,
        "items": proposal.check.items,
        "sample": sample,
    }


def _name_of(proposal: Proposal) -> str:
    first = proposal.choices[0].value
    path = Path(str(first[0] if isinstance(first, list) else first))
    is_part = proposal.choices[0].key != "data.log"
    stem = path.parent.resolve().name if is_part else path.name.split(".")[0].strip("*")
    return stem or "run"


def _shown(value: object) -> str:
    if value is None:
        return "(left out)"
    if value == "":
        return '""'
    return str(value)
