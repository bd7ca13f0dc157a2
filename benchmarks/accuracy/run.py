"""One training with its test figures.

python benchmarks/accuracy/run.py gowalla --data FOLDER [--set train.mode=sampled]… [--epochs N] [--name NAME]

Epochs are chosen on validation unless given; the model is refitted on train + validation; the test is scored once.
"""

from experiment import arguments_of, configured, keep, test_metrics

from data import load


def main() -> None:
    parser = arguments_of(__doc__)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    config = configured(arguments).model_copy(update={"seed": arguments.seed, "threads": arguments.threads})
    log, splits = load(config, arguments.cache / arguments.set)
    _, facts = test_metrics(config, config.model, log, splits, arguments.epochs)
    keep(arguments, config, facts)


if __name__ == "__main__":
    main()
