"""The terms of a score: one for each module of `recsys.scores.terms`."""

import importlib
import pkgutil
from functools import cache
from typing import Any

from recsys.scores import terms
from recsys.scores.term import Term


@cache
def all_terms() -> tuple[type[Term[Any]], ...]:
    """The classes of all terms, in the order in which a search asks them."""
    classes = []
    for module_info in pkgutil.iter_modules(terms.__path__):
        module = importlib.import_module(f"{terms.__name__}.{module_info.name}")
        for value in vars(module).values():
            is_term = isinstance(value, type) and issubclass(value, Term)
            # Modules also import the base class, which is no term.
            if is_term and value.__module__ == module.__name__:
                classes.append(value)
    return tuple(sorted(classes, key=lambda term: (term.order, term.name)))
