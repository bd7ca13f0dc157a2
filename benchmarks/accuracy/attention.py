"""Does attention add anything? The default model against γ fixed at 0, retrained with the same budget, several seeds.

python benchmarks/accuracy/attention.py ml-100k --data FOLDER [--seeds 3] [--set train.lr=0.01]… [--name NAME]

Each user's metric is averaged over the seeds; the interval is a paired bootstrap over users.
"""

import json
from typing import Any

import numpy as np
from experiment import PerUser, arguments_of, configured, keep, test_metrics

from data import load
from recsys.evaluate.intervals import bootstrap_means, difference


def differences(ours: PerUser, plain: PerUser, ks: list[int]) -> dict[str, Any]:
    """Means of both models by metric, and the difference with its 95 % interval."""
    found = {}
    for metric in (f"{name}@{k}" for name in ("ndcg", "recall") for k in ks):
        left, right = ours[metric], plain[metric]
        means = bootstrap_means(np.column_stack([left, right]))
        apart = difference(left, right, means[:, 0], means[:, 1])
        found[metric] = {"attention": left.mean(), "gamma 0": right.mean(), "difference": apart._asdict()}
    return found


def main() -> None:
    parser = arguments_of(__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    config = configured(arguments).model_copy(update={"threads": arguments.threads})
    log, splits = load(config, arguments.cache / arguments.set)
    means: dict[bool, PerUser] = {True: {}, False: {}}
    runs = []
    for seed in range(arguments.seeds):
        for attention in (True, False):
            model = config.model.model_copy(update={"attention": attention})
            found, facts = test_metrics(config.model_copy(update={"seed": seed}), model, log, splits)
            runs.append(facts)
            for metric, values in found.items():
                means[attention][metric] = means[attention].get(metric, 0) + values / arguments.seeds
    found = differences(means[True], means[False], config.evaluate.ks)
    print(json.dumps(found, indent=1))
    keep(arguments, config, {"difference": found, "runs": runs})


if __name__ == "__main__":
    main()
