"""What decides a stage's result, as one hash: configuration, input contents and the sources of its
own modules.
"""

import ast
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pipelines
import recsys
from recsys.core.artefacts import content_sha256, text_sha256

# How stages are run does not decide what they compute.
_MACHINERY = {"pipelines.runner", "pipelines.manifest", "pipelines.fingerprint", "pipelines.memory"}
# Packages whose modules are found by looking into the folder: importing one reads all of them.
_DISCOVERED = ("recsys.scores.terms", "recsys.bundle.parts")
_ROOTS = {"recsys": Path(recsys.__file__).parent, "pipelines": Path(pipelines.__file__).parent}


@dataclass(frozen=True)
class Mark:
    """The fingerprint of one stage over one bucket and the parts that it is made of."""

    config: dict[str, Any]
    inputs: dict[str, str]
    sources: str

    @property
    def sha256(self) -> str:
        return text_sha256(json.dumps([self.config, self.inputs, self.sources], sort_keys=True))


def mark_of(
    module: str,
    config_keys: tuple[str, ...],
    config: Mapping[str, Any],
    inputs: Mapping[str, str],
    bucket: str,
) -> Mark:
    """The mark of a function living in `module` that reads `config_keys` and `inputs` (path →
    content hash).
    """
    read = {key: _at(config, key) for key in config_keys}
    return Mark(
        {**read, "bucket": bucket} if bucket else read, dict(inputs), sources_sha256(module)
    )


def content_or_none(path: str) -> str | None:
    """Content hash of an outside file or folder; None for what cannot be hashed from here (a cloud
    address).
    """
    if "://" in path:
        return None
    place = Path(path)
    if place.exists():
        return content_sha256(place)
    matches = (
        sorted(Path().glob(path))
        if not place.is_absolute()
        else sorted(Path(place.anchor).glob(path[1:]))
    )
    return text_sha256("\n".join(f"{match.name} {content_sha256(match)}" for match in matches))


def _at(config: Mapping[str, Any], key: str) -> Any:
    value: Any = config
    for part in key.split("."):
        value = value[part]
    return value


@cache
def sources_sha256(module: str) -> str:
    """Hash of the sources of `module` and of every module of ours that it imports, directly or not."""
    return text_sha256(
        "\n".join(
            f"{name} {text_sha256(_source(name))}" for name in sorted(reached_modules(module))
        )
    )


@cache
def reached_modules(module: str) -> frozenset[str]:
    """`module` and the modules of ours that it imports, followed to the end; imports inside
    functions count.
    """
    reached = {module}
    waiting = [module]
    while waiting:
        fresh = set(_imports(waiting.pop())) - reached - _MACHINERY
        reached |= fresh
        waiting += sorted(fresh)
    return frozenset(reached)


def _imports(module: str) -> Iterator[str]:
    """Modules of ours that the source of `module` names, or that are found in it as a package."""
    if module in _DISCOVERED:
        yield from _modules_in(module)
    for node in ast.walk(ast.parse(_source(module))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if _file(alias.name))
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            yield from (name for name in names if _file(name))


def _modules_in(package: str) -> Iterator[str]:
    root, *parts = package.split(".")
    for file in sorted(_ROOTS[root].joinpath(*parts).glob("*.py")):
        if file.stem != "__init__":
            yield f"{package}.{file.stem}"


def _source(module: str) -> str:
    file = _file(module)
    return file.read_text(encoding="utf-8") if file else ""


def _file(module: str) -> Path | None:
    """The source file of one of our modules, found without importing anything."""
    root, *parts = module.split(".")
    if root not in _ROOTS:
        return None
    place = _ROOTS[root].joinpath(*parts)
    return next(
        (file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file()), None
    )
