"""Write docs/configuration.md from the configuration itself: `python docs/make_configuration.py`."""

import inspect
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from recsys.core.config import (
    AttributeConfig,
    ImageConfig,
    KnowledgeConfig,
    NeighbourConfig,
    RelationConfig,
    RunConfig,
    SessionConfig,
    TextConfig,
    ValuesConfig,
)
from recsys.core.config.forms import in_words
from recsys.core.toml import toml_value

HEAD = """# Configuration

One TOML file describes a run; every key has a default, and `--set section.key=value` overrides any of them.
An unknown key or a value out of range stops the run before it starts.
Values of `--set` are written as in the file, and without quotes: `--set graph.target=buy`, `--set clean.start=2024-01-31`,
`--set evaluate.ks=5,10`, `--set refit=false`; `none` leaves an optional key out. Paths in the file are meant from the folder of
the file, or from the working folder where they lead nowhere. This page is made from the code
(`python docs/make_configuration.py`).
"""

SPACE = """```toml
[tune.space]
"train.lr" = { low = 1e-3, high = 2e-2, log = true }
"model.layers" = { low = 1, high = 3 }
"graph.half_life_days" = { choices = [30, 180, "none"] }
```
"""


def _description(section: type[BaseModel]) -> str:
    """The docstring of a section, as a paragraph of the page."""
    return f"{inspect.getdoc(section)}\n"


def page() -> str:
    """The whole page as Markdown."""
    top = {
        name: field
        for name, field in RunConfig.model_fields.items()
        if not _is_section(field.annotation)
    }
    parts = [HEAD, "## Top level\n", _table(top)]
    for name, field in RunConfig.model_fields.items():
        if _is_section(field.annotation):
            parts += [
                f"\n## [{name}]\n",
                _description(field.annotation),
                _table(field.annotation.model_fields),
            ]
    parts += [
        "\n## [[graph.attributes]]\n",
        _description(AttributeConfig),
        _table(AttributeConfig.model_fields),
    ]
    parts += [
        "\n## [[graph.relations]]\n",
        _description(RelationConfig),
        _table(RelationConfig.model_fields),
    ]
    parts += [
        "\n## [[graph.knowledge]]\n",
        _description(KnowledgeConfig),
        _table(KnowledgeConfig.model_fields),
    ]
    parts += [
        "\n## [graph.sessions]\n",
        _description(SessionConfig),
        _table(SessionConfig.model_fields),
    ]
    parts += ["\n## [graph.item_neighbours], [graph.user_neighbours]\n"]
    parts += [_description(NeighbourConfig), _table(NeighbourConfig.model_fields)]
    for name, config in (("text", TextConfig), ("image", ImageConfig)):
        parts += [f"\n## [[features.{name}]]\n", _description(config)]
        parts += [_table(config.model_fields)]
    parts += [
        "\n## Values in [tune.space]\n",
        _description(ValuesConfig),
        SPACE,
        _table(ValuesConfig.model_fields),
    ]
    return "\n".join(parts)


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _table(fields: dict[str, Any]) -> str:
    rows = ["| key | values | default | meaning |", "|---|---|---|---|"]
    for name, field in fields.items():
        default = "required" if field.is_required() else _toml(field.default)
        meaning = " ".join((field.description or "").split())
        rows.append(f"| `{name}` | {_values(field)} | {default} | {meaning} |")
    return "\n".join(rows)


def _toml(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, BaseModel):
        value = value.model_dump()
    return f"`{toml_value(value)}`"


def _values(field: FieldInfo) -> str:
    """What a key takes, words of TOML in code letters."""
    annotation = field.annotation
    if field.metadata:
        annotation = Annotated[annotation, *field.metadata]
    return re.sub(r'("[^"]*")', r"`\1`", in_words(annotation))


if __name__ == "__main__":
    (Path(__file__).parent / "configuration.md").write_text(page() + "\n", encoding="utf-8")
