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
from recsys.core.addresses import is_object, is_url, local_path
from recsys.core.artefacts import content_sha256, text_sha256
from recsys.storage.inputs import version_of

# How stages are run does not decide what they compute.
_MACHINERY = {
    "pipelines.runner",
    "pipelines.manifest",
    "pipelines.fingerprint",
    "pipelines.memory",
    "pipelines.watch",
    "pipelines.where",
    "pipelines.ray_runner",
}
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
    """The mark of a stage function.

    Args:
        module: where the function lives.
        config_keys: dotted keys that it reads.
        config: nested plain values.
        inputs: path → content hash of what it reads.
        bucket: that it works on; "" for a stage without buckets.
    """
    settings = {key: _at(config, key) for key in config_keys}
    if bucket:
        settings["bucket"] = bucket
    return Mark(settings, dict(inputs), sources_sha256(module))


def content_or_none(path: str) -> str | None:
    """Content hash of an outside file or folder, and of what object storage lists where it is one; None
    for other addresses, which are not read.
    """
    if is_object(path):
        return version_of(path)
    if is_url(path) and not path.startswith("file://"):
        return None
    path = local_path(path)
    file = Path(path)
    if file.exists():
        return content_sha256(file)
    # Nothing has that name: it is a pattern, below the root where the path is absolute.
    matches = Path(file.anchor).glob(path.removeprefix(file.anchor))
    lines = [f"{match.name} {content_sha256(match)}" for match in sorted(matches)]
    return text_sha256("\n".join(lines))


def _at(config: Mapping[str, Any], key: str) -> Any:
    value: Any = config
    for name in key.split("."):
        value = value[name]
    return value


@cache
def sources_sha256(module: str) -> str:
    """Hash of the sources of `module` and of every module of ours that it imports, directly or not."""
    lines = []
    for name in sorted(reached_modules(module)):
        lines.append(f"{name} {_source_sha256(name)}")
    return text_sha256("\n".join(lines))


@cache
def reached_modules(module: str) -> frozenset[str]:
    """`module` and the modules of ours that it imports, followed to the end.

    Imports inside functions count.
    """
    reached = {module}
    waiting = [module]
    while waiting:
        fresh = _imports(waiting.pop()) - reached - _MACHINERY
        reached |= fresh
        waiting += sorted(fresh)
    return frozenset(reached)


@cache  # nearly every stage reaches most modules: parsing them for each took half of a small run
def _imports(module: str) -> frozenset[str]:
    """Modules of ours that the source of `module` names, or that are found in it as a package."""
    imported = set(_modules_in(module)) if module in _DISCOVERED else set()
    for node in ast.walk(ast.parse(_source(module))):
        imported.update(name for name in _names_imported(node) if _file(name))
    return frozenset(imported)


def _names_imported(node: ast.AST) -> list[str]:
    """Modules that a statement may import; "from a import b" names a and perhaps a.b."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return []


def _modules_in(package: str) -> Iterator[str]:
    root, *names = package.split(".")
    folder = _ROOTS[root].joinpath(*names)
    for file in sorted(folder.glob("*.py")):
        if file.stem != "__init__":
            yield f"{package}.{file.stem}"


@cache
def _source_sha256(module: str) -> str:
    return text_sha256(_source(module))


def _source(module: str) -> str:
    file = _file(module)
    return file.read_text(encoding="utf-8") if file else ""


def _file(module: str) -> Path | None:
    """The source file of one of our modules, found without importing anything."""
    root, *names = module.split(".")
    if root not in _ROOTS:
        return None
    path = _ROOTS[root].joinpath(*names)
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if file.is_file():
            return file
    return None
