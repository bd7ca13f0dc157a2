"""A whole run, section by section."""

from pydantic import Field

from recsys.core.config.features import FeaturesConfig
from recsys.core.config.graph import GraphConfig
from recsys.core.config.group import GroupConfig
from recsys.core.config.logs import CleanConfig, DataConfig, SplitConfig
from recsys.core.config.model import ModelConfig
from recsys.core.config.rank import RankConfig
from recsys.core.config.ranking import BlendConfig, EvaluateConfig, IndexConfig
from recsys.core.config.section import Section
from recsys.core.config.tracking import TrackingConfig
from recsys.core.config.train import TrainConfig
from recsys.core.config.tune import TuneConfig


class RunConfig(Section):
    """A whole run."""

    name: str = "run"
    """Name of the run."""
    out: str | None = None
    """Run folder; runs/<name> when absent."""
    seed: int = 0
    """Every draw of a run follows from it: the same configuration gives the same figures."""
    threads: int | None = Field(None, ge=1)
    """Threads of torch, BLAS and FAISS; all cores when absent, of which training leaves one to the
    thread that draws. Same weights are promised for the same number only.
    """
    refit: bool = True
    """Serve a model refitted on the whole log; false serves the one that was tested."""
    budget_minutes: float | None = Field(None, gt=0)
    """Minutes of one core of the nominal machine (docs/budget.md) that a run may take; named parts
    are left out before it starts until its forecast fits. No limit when absent.
    """
    first: bool = True
    """Where no bundle is live yet, serve a first one (ItemKNN and popularity) until the run's own
    is there, which does not depend on it.
    """
    data: DataConfig = DataConfig()
    clean: CleanConfig = CleanConfig()
    split: SplitConfig = SplitConfig()
    graph: GraphConfig = GraphConfig()
    features: FeaturesConfig = FeaturesConfig()
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
    group: GroupConfig = GroupConfig()
    blend: BlendConfig = BlendConfig()
    rank: RankConfig = RankConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    index: IndexConfig = IndexConfig()
    tune: TuneConfig = TuneConfig()
    tracking: TrackingConfig = TrackingConfig()
