"""The terms of a score: every module here holds one, and is found by `recsys.scores.registry`."""
