"""How every plot of a page is drawn: SVG text in the page's own text colour, so that it suits light
and dark.
"""

import io
import re
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK = "#010203"  # replaced by currentColor in the SVG
MAIN, OTHER = "#2f7ed8", "#8a93a0"
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "recsys",
    "font.family": "sans-serif",
    "font.size": 11,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def new_figure(height: float) -> tuple[Figure, Axes]:
    """A figure as wide as the page and `height` inches high."""
    figure = Figure(figsize=(8.2, height), layout="constrained")
    return figure, figure.subplots()


def svg_text(figure: Figure, description: str) -> str:
    """The figure as an inline element that scales, with a text alternative."""
    text = io.StringIO()
    figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    body = text.getvalue()
    body = body[body.index("<svg") :].replace(INK, "currentColor")
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    return re.sub(
        r"<svg ([^>]*?)width=\"[^\"]*\" height=\"[^\"]*\"",
        rf'<svg role="img" aria-label="{description}" \1',
        body,
        count=1,
    )
