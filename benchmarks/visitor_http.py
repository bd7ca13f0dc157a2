"""A visitor of 50 events over HTTP beside a member: processor time of the server and requests per
second.

    python -m benchmarks visitor_http [--rounds 3] [--seconds 4] [--connections 64] [--events 50]

A made-up bundle of Gowalla's size; POST /v1/recommend for one visitor, the same for one member, and
GET for that member take turns. The load comes from a second process (`http_load`).
"""

import argparse
import json
import os
from typing import Any

import numpy as np

from benchmarks.record import record
from benchmarks.serving import GOWALLA, bundle, measured, median, server

REQUESTS = 300


def main() -> None:
    arguments = _arguments()
    load_before = round(os.getloadavg()[0], 1)
    paths_of = requests(arguments.events, arguments.seed)
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in paths_of}
    with bundle(GOWALLA, arguments.seed) as path, server(path, 100) as (port, process):
        for _ in range(arguments.rounds):
            for name, paths in paths_of.items():
                load = measured(process, port, arguments.seconds, arguments.connections, 0, paths)
                rounds[name].append(load)
    document = figures(rounds) | vars(arguments) | {"machine_load_before": load_before}
    record("visitor_http", document, "a made-up bundle", arguments.seed)


def requests(events: int, seed: int) -> dict[str, list[str]]:
    """Requests by who is asked about, as `http_load` takes them."""
    rng = np.random.default_rng(seed)
    visitors: list[str] = []
    members: list[str] = []
    by_name: list[str] = []
    for _ in range(REQUESTS):
        items = rng.choice(GOWALLA["items"], events, replace=False)
        history = [{"item": f"item-{item:06}"} for item in items.tolist()]
        user = f"user-{rng.integers(GOWALLA['users']):06}"
        visitors.append(_post({"history": history}))
        members.append(_post({"user": user}))
        by_name.append(f"/v1/recommend/{user}?k=10")
    return {"visitor": visitors, "member": members, "member_by_get": by_name}


def figures(rounds: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """Medians over the rounds, and the visitor over the member."""
    medians: dict[str, Any] = {}
    failed = 0
    for name, loads in rounds.items():
        medians[f"{name}_processor_ms"] = round(median(loads, "processor_ms"), 3)
        medians[f"{name}_per_second"] = round(median(loads, "requests_per_second"))
        failed += int(sum(load["failed"] for load in loads))
    medians["failed"] = failed
    for name in ("member", "member_by_get"):
        ratio = medians["visitor_processor_ms"] / medians[f"{name}_processor_ms"]
        medians[f"visitor_over_{name}"] = round(ratio, 2)
    return medians


def _post(query: dict[str, Any]) -> str:
    return f"/v1/recommend {json.dumps({'requests': [query], 'k': 10})}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    numbers = {"rounds": 3, "seconds": 4, "connections": 64, "events": 50, "seed": 0}
    for name, value in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    return parser.parse_args()


if __name__ == "__main__":
    main()
