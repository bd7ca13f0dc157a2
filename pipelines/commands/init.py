"""`recsys init`: a log that nobody has described yet becomes a run configuration."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.commands.flag_groups import takes
from pipelines.commands.options import COLUMNS, Json, one_or_many, sets_keys
from recsys.core.errors import UsageError

if TYPE_CHECKING:
    from recsys.logs.column_roles import Choice
    from recsys.logs.proposal import Proposal

OutFile = Annotated[
    Path, typer.Option("--out", metavar="FILE.toml", help="Where the configuration is written.")
]
Force = Annotated[bool, typer.Option("--force", help="Write over a file that is there.")]
NoSample = Annotated[
    bool, typer.Option("--no-sample", help="Do not run the chain on a sample of the users.")
]
NoQuestions = Annotated[
    bool,
    typer.Option("--no-questions", help="Ask nothing, even on a terminal; mark it in the file."),
]


@takes(sets_keys({name: flag for name, flag in COLUMNS.items() if name != "weight_col"}))
def init(
    keys: dict[str, object],
    log: Annotated[
        list[str],
        typer.Argument(metavar="LOG", help="File, folder, glob or cloud URL of interactions."),
    ],
    out: OutFile = Path("recsys.toml"),
    force: Force = False,
    no_sample: NoSample = False,
    no_questions: NoQuestions = False,
    as_json: Json = False,
) -> None:
    """Look at a log, propose columns, split, target, signals and cleaning with reasons, write them
    as a commented TOML file, and run a sample. What is not sure is asked on a terminal, and marked
    in the file elsewhere.
    """
    if out.exists() and not force:
        raise UsageError(f"{str(out)!r} is there already", "Give another --out, or --force")
    from pipelines.console import print_document
    from pipelines.init import document, print_proposal, propose_columns, write

    asks = sys.stdin.isatty() and sys.stderr.isatty() and not (no_questions or as_json)
    source = one_or_many(log)
    proposal = propose_columns(source, keys, _ask if asks else None)  # type: ignore[arg-type]
    write(proposal, out)
    if not as_json:
        print_proposal(proposal, out)
    sample = None
    if not no_sample and _is_runnable(proposal):
        from pipelines.sample_run import run_sample

        sample = run_sample(out, None if as_json else typer.echo)
    if as_json:
        print_document(document(proposal, out, sample))


def _is_runnable(proposal: "Proposal") -> bool:
    """Whether users and items are known: with guessed ones a sample would say nothing."""
    unsure = {choice.key for choice in proposal.questions}
    return not {"data.user_col", "data.item_col", "data.columns"} & unsure


def _ask(choice: "Choice") -> "Choice":
    """The choice with the answer of whoever sits at the terminal; Enter takes what is proposed."""
    if choice.is_sure:
        return choice
    typer.echo(f"\n{choice.key}: {choice.question}", err=True)
    options = choice.options or (choice.value,)
    for number, option in enumerate(options, start=1):
        shown = "leave it out" if option in (None, "") else option
        typer.echo(f"  {number}) {shown}", err=True)
    proposed = options.index(choice.value) + 1 if choice.value in options else 1
    number = 0
    while not 1 <= number <= len(options):
        number = typer.prompt("Which one", type=int, default=proposed, err=True)
    return replace(choice, value=options[number - 1], question="", reason="as answered")
