"""What each process of the benchmark `group` does: some steps, timed."""

import resource
import time
from pathlib import Path
from typing import Any

import torch

from recsys.core.artefacts import write_json
from recsys.core.config import GraphConfig, ModelConfig, TrainConfig
from recsys.core.ids import IdMap
from recsys.core.interactions import Interactions, fit_interactions
from recsys.core.machine import peak_memory_bytes
from recsys.core.progress import Progress
from recsys.core.tables import ITEM, ITEM_ID, TIME, USER, USER_ID
from recsys.graph.build import build_graph
from recsys.logs.synthetic import communities
from recsys.train.families import stepper_of
from recsys.train.forecast import plan_training
from recsys.train.problem import Problem, first_network
from recsys.train.ranks import Ranks

CPU = torch.device("cpu")


def made_up(users: int, items: int, events: int) -> Interactions:
    """A log with times, of users in communities."""
    log = communities(num_users=users, num_items=items, events_per_user=events, seed=1).log
    log = log.sort(TIME).unique([USER_ID, ITEM_ID], keep="first", maintain_order=True)
    user_ids, item_ids = (IdMap(log[name].unique().sort(), name) for name in (USER_ID, ITEM_ID))
    codes = {USER: user_ids.lookup(log[USER_ID]), ITEM: item_ids.lookup(log[ITEM_ID])}
    rows = log.select(TIME).with_columns(**codes)
    return fit_interactions(rows, user_ids, item_ids, ("interaction",), "seconds")


def measure(ranks: Ranks, progress: Progress, world: dict[str, Any], folder: Path) -> None:
    """Take the steps that `world` asks for, and leave what they took in the folder."""
    torch.set_num_threads(1)
    interactions = made_up(world["users"], world["items"], world["events"])
    graph = build_graph(interactions, GraphConfig(half_life_days="none"))
    model = ModelConfig(start="random", user_table=world["user_table"])
    config = TrainConfig(epochs=1, shard_tables=world["sharded"])
    plan = plan_training(graph, model, config, CPU)
    problem = Problem(interactions, graph, model)
    network = first_network(problem)
    stepper = stepper_of(network, problem, config, plan, ranks)
    stepper._prepare(0)

    summing: list[float] = []
    add_gradients = ranks.add_gradients

    def timed(*arguments: Any) -> float:
        began = time.perf_counter()
        loss = add_gradients(*arguments)
        summing.append(time.perf_counter() - began)
        return loss

    ranks.add_gradients = timed  # type: ignore[method-assign]
    batches = stepper.batches.epoch(0)
    stepper.step(next(batches), 0)  # builds what later ones use again
    summing.clear()
    ranks.wait()
    began, busy = time.perf_counter(), _processor()
    drawing = 0.0
    for _ in range(world["steps"]):
        thread = time.thread_time()
        batch = next(batches)
        drawing += time.thread_time() - thread
        stepper.step(batch, 0)
    steps = world["steps"]
    figures = {
        "wall_ms": round(1e3 * (time.perf_counter() - began) / steps, 1),
        "processor_ms": round(1e3 * (_processor() - busy) / steps, 1),
        "drawing_processor_ms": round(1e3 * drawing / steps, 1),
        "waiting_and_summing_ms": round(1e3 * sum(summing) / steps, 1),
        "peak_mb": round(peak_memory_bytes() / 1e6),
        "pairs_a_step": plan.pairs_a_step,
    }
    write_json(folder / f"steps-{ranks.rank}.json", figures)


def _processor() -> float:
    """Processor seconds of this process, all its threads, those of gloo among them."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
