"""Where the stages of a run leave their outputs, relative to the run folder."""

from recsys.core import artefacts

SUPPRESSED = artefacts.SUPPRESSED  # no stage's output: recsys forget writes it, ingest honours it
BUDGET = "budget.json"  # likewise: what a run left out, and its forecast
LOG = "interactions/log"
SPLIT = "interactions/split"
RELATIONS = "interactions/relations"
CONTENTS = "interactions/contents"
AUDIT = "interactions/audit"
COUNTS = "interactions/counts"
GRAPH = "graph/{phase}"
TRAINED = "checkpoint/{phase}/{bucket}"
BLEND = "blend/{phase}/{bucket}"
POPULARITY = "popularity"
SIMILAR = "similar"
RANK = "rank"
VALIDATION = "scores/validation/{bucket}"
TEST = "scores/test/{bucket}"
WITHOUT = "scores/without/{bucket}"
COLD_START = "scores/cold_start"
INDEX = "index/{phase}"
REPORT = "report"

MODEL, LIGHTGCN = "model", "lightgcn"  # buckets of what is trained
