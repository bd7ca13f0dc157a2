"""Names in a configuration that stand for something registered by name."""

from recsys.core.config import RunConfig
from recsys.search.searchers import kinds_to_try
from recsys.train.losses import loss_named


def require_known_names(config: RunConfig) -> RunConfig:
    """The same configuration. Raises ConfigError for a loss or searcher that nobody registered."""
    loss_named(config.train.loss)
    kinds_to_try(config.index.kind)
    return config
