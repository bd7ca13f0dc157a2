"""A Python for which DGL is not published runs the whole chain to the same bundle."""

import subprocess
import sys
from pathlib import Path

from chain import Settings
from recsys.core.artefacts import RunFolder, file_sha256

_RUN = (
    "import json, sys; from pathlib import Path; sys.modules['dgl'] = None;"
    "from pipelines.run import run; from recsys.core.config import build_config;"
    "run(build_config(json.loads(sys.argv[1])), Path(sys.argv[2]));"
    "assert not [name for name in sys.modules if name.startswith('dgl.')]"
)


def test_the_chain_makes_the_same_bundle_without_dgl(
    finished: RunFolder, world: Path, settings: Settings, tmp_path: Path
) -> None:
    config = settings(world)
    command = [sys.executable, "-W", "ignore", "-c", _RUN, config.model_dump_json(), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    here, there = finished.bundle.resolve(), RunFolder(tmp_path).bundle.resolve()
    assert here.name == there.name
    answers = [file for file in sorted(here.iterdir()) if file.suffix in (".npy", ".safetensors")]
    assert len(answers) > 5
    for file in answers:
        assert file_sha256(file) == file_sha256(there / file.name), file.name
