"""The run configuration: one TOML file, every key typed, documented and defaulted; unknown keys are
errors.

A section of the file is a class, in the module that goes by its subject.
"""

from recsys.core.config.aliases import rename_old_parameters
from recsys.core.config.features import FeaturesConfig, ImageConfig, TextConfig
from recsys.core.config.graph import (
    AttributeConfig,
    GraphConfig,
    KnowledgeConfig,
    NeighbourConfig,
    RelationConfig,
    SessionConfig,
)
from recsys.core.config.load import build_config, load_config, read_toml, with_overrides
from recsys.core.config.logs import CleanConfig, DataConfig, SplitConfig
from recsys.core.config.model import ModelConfig
from recsys.core.config.paths import require_files
from recsys.core.config.rank import RankConfig
from recsys.core.config.ranking import BlendConfig, EvaluateConfig, IndexConfig, Task
from recsys.core.config.run import RunConfig
from recsys.core.config.tracking import TrackingConfig
from recsys.core.config.train import TrainConfig
from recsys.core.config.tune import TuneConfig, ValuesConfig

__all__ = [
    "AttributeConfig",
    "BlendConfig",
    "CleanConfig",
    "DataConfig",
    "EvaluateConfig",
    "FeaturesConfig",
    "GraphConfig",
    "ImageConfig",
    "IndexConfig",
    "KnowledgeConfig",
    "ModelConfig",
    "NeighbourConfig",
    "RankConfig",
    "RelationConfig",
    "RunConfig",
    "SessionConfig",
    "SplitConfig",
    "Task",
    "TextConfig",
    "TrackingConfig",
    "TrainConfig",
    "TuneConfig",
    "ValuesConfig",
    "build_config",
    "load_config",
    "read_toml",
    "rename_old_parameters",
    "require_files",
    "with_overrides",
]
