"""How densely the code reads: syntax nodes, comprehensions and comments a code line, by package.

    python -m benchmarks density [--files] [--root FOLDER]

A code line is a line that is neither blank, nor a comment, nor inside a docstring. Nodes are those
of Python's `ast`. Vague functions bind at least one local name that says nothing of its domain.
"""

import argparse
import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGES = ("recsys", "pipelines", "serving")
VAGUE = frozenset(
    ["one", "found", "made", "given", "asked", "held", "some", "other", "part", "place", "kept"]
)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_DOCUMENTED = (ast.Module, ast.ClassDef, *_FUNCTIONS)


@dataclass
class Density:
    """Counts of some source files, added up."""

    nodes: int = 0
    code_lines: int = 0
    comprehensions: int = 0
    comment_lines: int = 0
    functions: int = 0
    vague_functions: int = 0

    def add(self, other: "Density") -> None:
        """Add the counts of another file."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    def row(self, name: str) -> str:
        """One line of the table."""
        code_lines = max(self.code_lines, 1)
        vague_share = 100 * self.vague_functions / max(self.functions, 1)
        return (
            f"{name:<34}{self.code_lines:>7,}{self.nodes / code_lines:>8.1f}"
            f"{100 * self.comprehensions / code_lines:>8.1f}"
            f"{100 * self.comment_lines / code_lines:>9.1f}{vague_share:>7.0f} %"
        )


def density_of(text: str) -> Density:
    """Counts of one source file."""
    tree = ast.parse(text)
    docstring_lines = set()
    for node in ast.walk(tree):
        docstring_lines.update(_docstring_lines(node))
    density = Density()
    for number, line in enumerate(text.split("\n"), start=1):
        stripped = line.strip()
        if stripped.startswith("#"):
            density.comment_lines += 1
        elif stripped and number not in docstring_lines:
            density.code_lines += 1
    for node in ast.walk(tree):
        density.nodes += 1
        density.comprehensions += isinstance(node, _COMPREHENSIONS)
        if isinstance(node, _FUNCTIONS):
            density.functions += 1
            density.vague_functions += bool(_bound_names(node) & VAGUE)
    return density


def _docstring_lines(node: ast.AST) -> range:
    if not isinstance(node, _DOCUMENTED) or not node.body:
        return range(0)
    first = node.body[0]
    if not isinstance(first, ast.Expr) or not isinstance(first.value, ast.Constant):
        return range(0)
    if not isinstance(first.value.value, str):
        return range(0)
    return range(first.lineno, (first.end_lineno or first.lineno) + 1)


def _bound_names(function: ast.AST) -> set[str]:
    names = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def _files(root: Path) -> Iterator[tuple[str, Path]]:
    """The package that each source file is counted under, and the file."""
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).parts
            subpackage = package == "recsys" and len(parts) > 2
            yield "/".join(parts[:2]) if subpackage else package, path


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--root", type=Path, default=Path(), help="a checkout")
    parser.add_argument("--files", action="store_true", help="a row a file, the densest first")
    arguments = parser.parse_args()
    packages: dict[str, Density] = defaultdict(Density)
    files: dict[str, Density] = {}
    for package, path in _files(arguments.root):
        density = density_of(path.read_text(encoding="utf-8"))
        files[str(path.relative_to(arguments.root))] = density
        packages[package].add(density)
        if package.startswith("recsys"):
            packages["recsys, all"].add(density)
        packages["all"].add(density)
    print(f"{'':<34}{'lines':>7}{'nodes':>8}{'compr.':>8}{'comments':>9}{'vague':>9}")
    if arguments.files:
        for name, density in sorted(files.items(), key=_nodes_a_line, reverse=True):
            print(density.row(name))
        return
    for name in sorted(packages):
        print(packages[name].row(name))


def _nodes_a_line(row: tuple[str, Density]) -> float:
    density = row[1]
    return density.nodes / max(density.code_lines, 1)


if __name__ == "__main__":
    main()
