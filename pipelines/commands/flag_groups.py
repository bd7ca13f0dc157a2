"""Flags that several commands have, as one argument of each."""

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class FlagGroup:
    """Flags that make one argument of a command.

    flags: by parameter name, what typer makes the flag from; each is None when not given.
    read: the argument from the values of the flags.
    """

    flags: Mapping[str, Any]
    read: Callable[[dict[str, Any]], Any]


def takes(*groups: FlagGroup) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the flags of these groups; its first arguments become what they make.

    Typer reads the flags of a command from its signature, so they are added there.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        required = []
        optional = []
        own = inspect.signature(command, eval_str=True).parameters.values()
        for parameter in list(own)[len(groups) :]:
            keyword = parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            is_required = keyword.default is inspect.Parameter.empty
            if is_required:
                required.append(keyword)
            else:
                optional.append(keyword)

        @functools.wraps(command)
        def called(**values: Any) -> None:
            arguments = []
            for group in groups:
                of_group = {name: values.pop(name) for name in group.flags}
                arguments.append(group.read(of_group))
            command(*arguments, **values)

        added = []
        for group in groups:
            for name, annotation in group.flags.items():
                added.append(_flag(name, annotation))
        signature = inspect.Signature([*required, *added, *optional])
        called.__signature__ = signature  # type: ignore[attr-defined]
        return called

    return decorate


def _flag(name: str, annotation: object) -> inspect.Parameter:
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=None, annotation=annotation)
