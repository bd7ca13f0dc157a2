"""By what items are similar: chosen on validation, with the model as it is scored there."""

from typing import Any

from pipelines.phases_on_disk import load_phase
from pipelines.places import MODEL, SIMILAR
from pipelines.runner import Facts, Work
from pipelines.stages.blend import embeddings_of, scorer_of
from recsys.core.artefacts import read_json, write_json
from recsys.encode.history_scores import BlendedScorer
from recsys.scores.similar_items import SimilarChoice, choose_similar

_CHOICE = "similar.json"
_WORDS = {
    "vectors": "the cosine of their vectors",
    "visitor": "what a visitor who has the one alone is recommended",
}


def choose(work: Work) -> Facts:
    """Write what items are similar by, its figures, and both in a sentence."""
    data = load_phase(work.folder.path, work.config, "select")
    scorer = scorer_of(work, data, MODEL)
    added = scorer.added if isinstance(scorer, BlendedScorer) else None
    choice = choose_similar(data, embeddings_of(work, "select", MODEL), added)
    document: dict[str, Any] = {"by": choice.by, "tried": dict(choice.tried), "users": choice.users}
    if choice.tried:
        document["line"] = _line(choice, f"NDCG@{work.config.train.metric_k}")
        work.progress.say(document["line"])
    write_json(work.out / _CHOICE, document)
    return Facts(figures=document)


def chosen_similar(work: Work) -> dict[str, Any]:
    """What was written: "by", "tried", "users", and "line" where something was judged."""
    document: dict[str, Any] = read_json(work.read(SIMILAR) / _CHOICE)
    return document


def _line(choice: SimilarChoice, metric: str) -> str:
    tried = choice.tried
    line = (
        f"Similar items go by {_WORDS[choice.by]}: validation {metric} of {choice.users:,} users "
        f"{tried['visitor']:.4f} for a visitor with one of their items, {tried['vectors']:.4f} by "
        "the vectors"
    )
    if choice.difference is None or choice.difference.error == float("inf"):
        return line
    return f"{line} (apart {choice.difference.mean:+.4f} ± {choice.difference.error:.4f})"
