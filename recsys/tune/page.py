"""A search as one self-contained HTML page: no script, no outside asset, light and dark."""

from recsys.evaluate.page import page_environment
from recsys.tune.document import Tuning
from recsys.tune.plots import keys_plot, progress_plot
from recsys.tune.values import shown


def render(tuning: Tuning) -> str:
    """The page of a search, as text. The same document gives the same page."""
    environment = page_environment("recsys.tune")
    environment.filters["shown"] = shown
    plots = {"progress": progress_plot(tuning), "keys": keys_plot(tuning)}
    return environment.get_template("tune.html.j2").render(tuning=tuning, plots=plots)
