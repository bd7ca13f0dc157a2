"""Write the made parts of docs/architecture.md: `python docs/make_architecture.py`.

The drawing shows which packages import which, read from the code; an arrow that follows from others
is left out (transitive reduction).
"""

import re
from pathlib import Path

import grimp
import networkx as nx

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"
APPLICATIONS = ("pipelines", "serving")


def imports() -> nx.DiGraph:
    """A node for each package of the library and each application, an edge from importer to imported."""
    modules = grimp.build_graph("recsys", *APPLICATIONS)
    packages = nx.DiGraph()
    for importer in modules.modules:
        packages.add_node(_package(importer))
        for imported in modules.find_modules_directly_imported_by(importer):
            if _package(importer) != _package(imported):
                packages.add_edge(_package(importer), _package(imported))
    packages.remove_node("recsys")  # its __init__ only names what `import recsys` offers
    return packages


def _package(module: str) -> str:
    """pipelines.stages.blend → pipelines, recsys.graph.build → graph."""
    top, *below = module.split(".")
    if top in APPLICATIONS or not below:
        return top
    return below[0]


def drawing() -> str:
    """The imports as a Mermaid diagram, importers above."""
    packages = imports()
    if not nx.is_directed_acyclic_graph(packages):
        raise ValueError(f"a circle of imports: {nx.find_cycle(packages)}")
    lines = ["graph TD"]
    for importer, imported in sorted(nx.transitive_reduction(packages).edges):
        lines.append(f"    {importer} --> {imported}")
    return "\n".join(["```mermaid", *lines, "```"])


def page(text: str) -> str:
    """The page with its drawing made anew."""
    made = f"<!-- made: imports -->\n{drawing()}\n<!-- end -->"
    return re.sub(r"<!-- made: imports -->.*?<!-- end -->", lambda _: made, text, flags=re.DOTALL)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
