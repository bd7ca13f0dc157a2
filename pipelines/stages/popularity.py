"""What users without a history get: chosen on validation, whatever the model."""

from pipelines.phases_on_disk import load_phase
from pipelines.places import POPULARITY
from pipelines.runner import Facts, Work
from recsys.core.artefacts import read_json, write_json
from recsys.scores.most_popular import PopularityChoice, choose_popularity

_CHOICE = "popularity.json"


def choose(work: Work) -> Facts:
    """Write the half-life in days, None for all of time."""
    choice = choose_popularity(load_phase(work.folder.path, work.config, "select"))
    tried = [[days, value] for days, value in choice.tried.items()]
    document = {"half_life_days": choice.half_life_days, "tried": tried}
    if len(tried) > 1:
        work.progress.say(_sentence(choice, work.config.train.metric_k))
    write_json(work.out / _CHOICE, document)
    return Facts(figures=document)


def popularity_half_life(work: Work) -> float | None:
    """The half-life in days that was chosen."""
    days: float | None = read_json(work.read(POPULARITY) / _CHOICE)["half_life_days"]
    return days


def _sentence(choice: PopularityChoice, k: int) -> str:
    values = [f"{_span(days)} {value:.4f}" for days, value in choice.tried.items()]
    recent = ""
    if choice.half_life_days is not None:
        recent = f" recently, with a half-life of {choice.half_life_days:g} days"
    return (
        f"users without a history get what is popular{recent} "
        f"(validation NDCG@{k} by half-life: {', '.join(values)})"
    )


def _span(half_life_days: float | None) -> str:
    return "all of time" if half_life_days is None else f"{half_life_days:g} days"
