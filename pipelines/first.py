"""First result first: a bundle that is live while the model is still trained."""

import time

from pipelines.phases_on_disk import load_phase
from recsys.core.artefacts import RunFolder
from recsys.core.config import RunConfig
from recsys.core.progress import Progress
from recsys.fitting.first_bundle import first_bundle
from recsys.releases.life_cycle import publish
from recsys.releases.publish import write_bundle


def serve_first(config: RunConfig, folder: RunFolder, progress: Progress) -> None:
    """Make a bundle of the whole log without training, and make it live.

    It is no stage: nothing that follows reads it.
    """
    began = time.perf_counter()
    phase = load_phase(folder.path, config, "serve")
    bundle = first_bundle(phase, phase.graph)
    path = write_bundle(folder.bundles, bundle)
    publish(folder, path)
    progress.say(
        f"serving a first bundle {path.name} ({bundle.model_card['model']}) after "
        f"{time.perf_counter() - began:.1f} s, until the model is there",
        bundle=path.name,
        first=True,
    )
