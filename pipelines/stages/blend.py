"""How much the item table adds to a trained model: chosen once, on validation; later phases take what it chose."""

from pipelines.phases_on_disk import load_phase
from pipelines.places import BLEND, TRAINED
from pipelines.runner import Facts, Work
from pipelines.stages.embeddings import vectors_of
from recsys.blending import Blend, choose_blend
from recsys.core.artefacts import read_json, write_json

_CHOICE = "blend.json"


def choose(work: Work) -> Facts:
    """The blend of the bucket's variant, from its vectors of the phase "select"."""
    data = load_phase(work.folder.path, work.config, "select")
    vectors = vectors_of(work.read(TRAINED.format(phase="select", bucket=work.bucket)))
    choice = choose_blend(data, vectors, work.progress)
    write_json(work.out / _CHOICE, choice.blend.model_dump())
    if choice.value is not None:
        metric = f"NDCG@{work.config.train.metric_k}"
        work.progress.say(
            f"{work.bucket}: item table of weight {choice.blend.weight:g}, validation {metric} {choice.value:.4f} "
            f"(vectors alone {choice.alone:.4f})"
        )
    figures = {"value": choice.value, "alone": choice.alone, "tried": choice.tried, **choice.blend.model_dump()}
    return Facts(rows_in=len(data.interactions), figures=figures)


def chosen(work: Work, bucket: str) -> Blend:
    """What was chosen for a variant."""
    return Blend.model_validate(read_json(work.read(BLEND.format(bucket=bucket)) / _CHOICE))
