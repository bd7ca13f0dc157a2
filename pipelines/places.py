"""Where the stages of a run leave their outputs, relative to the run folder."""

SUPPRESSED = "suppressed.json"  # no stage's output: recsys forget writes it, ingest honours it
LOG = "interactions/log"
SPLIT = "interactions/split"
RELATIONS = "interactions/relations"
AUDIT = "interactions/audit"
GRAPH = "graph/{phase}"
TRAINED = "checkpoint/{phase}/{bucket}"
BLEND = "blend/{phase}/{bucket}"
VALIDATION = "scores/validation/{bucket}"
TEST = "scores/test/{bucket}"
INDEX = "index/{phase}"
REPORT = "report"
