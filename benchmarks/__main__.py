"""`make bench`: the benchmarks there are, and how to run one.

python -m benchmarks NAME [ARGUMENTS]
"""

import ast
import runpy
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
_PACKAGES = ("accuracy", "signals")
_NOT_RUN = {
    "__main__",
    "record",
    "interactions_of",
    "made_up",
    "planted",
    "simulated_shop",
    "worlds",
    "http_load",
    "group_steps",
}


def main() -> None:
    names = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in _NOT_RUN)
    if len(sys.argv) > 1 and sys.argv[1] in _PACKAGES:
        sys.argv = sys.argv[1:]
        runpy.run_module(f"benchmarks.{sys.argv[0]}", run_name="__main__")
        return
    if len(sys.argv) > 1 and sys.argv[1] in names:
        sys.argv = sys.argv[1:]
        runpy.run_path(str(FOLDER / f"{sys.argv[0]}.py"), run_name="__main__")
        return
    print("python -m benchmarks NAME [ARGUMENTS]; figures go to benchmarks/results/NAME.json\n")
    for name in _PACKAGES:
        print(f"  {name:<12} {_summary(FOLDER / name / '__main__.py')}")
    for name in names:
        print(f"  {name:<12} {_summary(FOLDER / f'{name}.py')}")


def _summary(path: Path) -> str:
    """The first paragraph of a module's docstring, on one line."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n\n")[0].replace("\n", " ")


if __name__ == "__main__":
    main()
