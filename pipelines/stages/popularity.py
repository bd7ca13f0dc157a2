"""What visitors of whom nothing is known get: chosen on validation, whatever the model."""

from pipelines.phases_on_disk import load_phase
from pipelines.places import POPULARITY
from pipelines.runner import Facts, Work
from recsys.core.artefacts import read_json, write_json
from recsys.scores.most_popular import choose_popularity

_CHOICE = "popularity.json"


def choose(work: Work) -> Facts:
    """Write the half-life in days, None for all of time."""
    found = choose_popularity(load_phase(work.folder.path, work.config, "select"))
    tried = [[days, value] for days, value in found.tried.items()]
    document = {"half_life_days": found.half_life_days, "tried": tried}
    if len(tried) > 1:
        days = found.half_life_days
        shown = ", ".join(
            f"{'all of time' if one is None else f'{one:g} days'} {value:.4f}"
            for one, value in tried
        )
        work.progress.say(
            f"visitors of whom nothing is known get what is popular {'' if days is None else f'of late, {days:g} days '}"
            f"(validation NDCG@{work.config.train.metric_k} by half-life: {shown})"
        )
    write_json(work.out / _CHOICE, document)
    return Facts(figures=document)


def popular_days(work: Work) -> float | None:
    """The half-life in days that was chosen."""
    days: float | None = read_json(work.read(POPULARITY) / _CHOICE)["half_life_days"]
    return days
