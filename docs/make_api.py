"""Write docs/api.md from docstrings: `python docs/make_api.py`."""

import importlib
import inspect
import re
from pathlib import Path

PAGE = Path(__file__).parent / "api.md"

HEAD = """# Python API

Made from the docstrings (`python docs/make_api.py`). `import recsys` is light: torch and dgl are loaded when
`GraphRecommender` is. Errors are `DataError`, `UsageError` and `ConfigError` of `recsys.core.errors`; each names the value
and says what to do.
"""

SECTIONS = {
    "Learn and recommend": ["recsys.recommender:GraphRecommender"],
    "Ask a bundle": ["recsys.lookup.lookup:Lookup"],
    "Ask a service": ["serving.client:Client", "serving.client:ServiceError"],
    "Read and split logs": [
        "recsys.logs.ingest:ingest",
        "recsys.logs.ingest:load_log",
        "recsys.logs.split:split_log",
    ],
    "Judge lists": [
        "recsys.evaluate.metrics:rank_metrics",
        "recsys.evaluate.metrics:evaluable_users",
    ],
    "Errors": [
        "recsys.core.errors:DataError",
        "recsys.core.errors:UsageError",
        "recsys.core.errors:ConfigError",
    ],
}


def page() -> str:
    """The whole page as Markdown."""
    parts = [HEAD]
    for title, names in SECTIONS.items():
        parts.append(f"## {title}\n")
        for name in names:
            module, attribute = name.split(":")
            member = getattr(importlib.import_module(module), attribute)
            if inspect.isclass(member):
                parts.extend(_class(module, member))
            else:
                parts.append(_function(f"{module}.{attribute}", member))
    return "\n".join(parts)


def _class(module: str, member: type) -> list[str]:
    """A class and its public methods, in the order of the code."""
    entries = [_entry(f"{module}.{member.__name__}", _signature(member), member)]
    for name, method in vars(member).items():
        function = method.__func__ if isinstance(method, classmethod | staticmethod) else method
        if not name.startswith("_") and inspect.isfunction(function):
            entries.append(_function(f"{member.__name__}.{name}", function))
    return entries


def _function(name: str, function: object) -> str:
    return _entry(name, _signature(function), function)


def _entry(name: str, signature: str, member: object) -> str:
    text = inspect.getdoc(member) or ""
    return f"### `{name}`\n\n```python\n{signature}\n```\n\n```text\n{text}\n```\n"


def _signature(member: object) -> str:
    """Names and defaults, one parameter a line where there are many; types stand in the code."""
    signature = inspect.signature(member)  # type: ignore[arg-type]
    parameters = []
    for parameter in signature.parameters.values():
        if parameter.name != "self":
            text = str(parameter.replace(annotation=inspect.Parameter.empty))
            text = re.sub(r"<function (\w+) at 0x[0-9a-f]+>", r"\1", text)
            text = re.sub(r"<([\w.]+) object at 0x[0-9a-f]+>", r"<\1>", text)
            parameters.append(text.replace("'", '"'))
    name = getattr(member, "__name__", "")
    keyword_only = inspect.Parameter.KEYWORD_ONLY
    kinds = [parameter.kind for parameter in signature.parameters.values()]
    if keyword_only in kinds and inspect.Parameter.VAR_POSITIONAL not in kinds:
        position = kinds.index(keyword_only) - ("self" in signature.parameters)
        parameters.insert(position, "*")
    line = f"{name}({', '.join(parameters)})"
    if len(line) <= 100:
        return line
    return "\n".join([f"{name}(", *(f"    {parameter}," for parameter in parameters), ")"])


if __name__ == "__main__":
    PAGE.write_text(page() + "\n", encoding="utf-8")
