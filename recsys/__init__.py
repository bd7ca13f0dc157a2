"""Recommendations by graph attention: from an interaction log to proven top-k lists."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recsys.recommender import GraphRecommender

__version__ = "0.2.0"
__all__ = ["GraphRecommender", "__version__"]


def __getattr__(name: str) -> object:
    """GraphRecommender is loaded when it is asked for: `import recsys` stays light."""
    if name == "GraphRecommender":
        from recsys.recommender import GraphRecommender

        return GraphRecommender
    raise AttributeError(f"module 'recsys' has no attribute {name!r}")
