"""How things stand in a service: what is under way, what waits, what is held in memory."""

import gc
import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from serving.context import Context
from serving.protocol import PatientProtocol

_MILLISECONDS = 1000.0


def watch(context: Context) -> None:
    """Have the figures of a service tell how things stand."""
    gauges = WorkerGauges(context)
    context.metrics.watch(gauges.tell)
    context.metrics.watch(GarbageCollection(context.metrics.registry).tell)
    context.metrics.of_service.register(ServiceGauges(context))


class WorkerGauges:
    """Of this process; those of all live workers are added up."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._registry = context.metrics.registry
        self._requests = self._gauge(
            "recsys_requests_under_way", "Requests that are being answered."
        )
        self._connections = self._gauge("recsys_connections", "Connections that are open.")
        self._waiting = self._gauge(
            "recsys_waiting_requests", "Requests that wait to be answered together.", "queue"
        )
        self._dear = self._gauge(
            "recsys_dear_requests", "Requests of a high price, begun or waiting."
        )
        self._price = self._gauge(
            "recsys_dear_price_seconds", "What they are expected to take of a core."
        )
        self._jobs = self._gauge("recsys_jobs", "Jobs of administrators, begun or waiting.")

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self._registry, multiprocess_mode="livesum")

    def tell(self) -> None:
        context = self._context
        self._requests.set(context.metrics.under_way)
        self._connections.set(PatientProtocol.num_open)
        for queue, waiting in context.service.num_waiting().items():
            self._waiting.labels(queue).set(waiting)
        if context.writer is not None:
            self._waiting.labels("events").set(len(context.writer))
        prices = context.service.dear.prices
        self._dear.set(len(prices))
        self._price.set(sum(prices) / _MILLISECONDS)
        self._jobs.set(context.jobs.num_under_way())


class GarbageCollection:
    """What the garbage collector has done, under the names of the library, whose own figures several
    workers cannot add up. generation: 0 for the youngest objects.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._counters: dict[str, Counter] = {}
        for name, text in (
            ("collections", "Number of times this generation was collected."),
            ("collected", "Objects collected."),
            ("uncollectable", "Objects that could not be freed."),
        ):
            series = "collections" if name == "collections" else f"objects_{name}"
            self._counters[name] = Counter(
                f"python_gc_{series}_total", text, ("generation",), registry=registry
            )
        self._told = [dict.fromkeys(stats, 0) for stats in gc.get_stats()]

    def tell(self) -> None:
        now = gc.get_stats()
        for generation, (stats, told) in enumerate(zip(now, self._told, strict=True)):
            for name, counter in self._counters.items():
                counter.labels(str(generation)).inc(stats[name] - told[name])
        self._told = now


class ServiceGauges(Collector):
    """What every worker holds alike, told by the one that is asked."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def describe(self) -> list[Metric]:
        """Nothing to be looked at before the first time it is asked."""
        return []

    def collect(self) -> Iterator[Metric]:
        live = self._context.live
        yield GaugeMetricFamily("recsys_live_events", "Live events in memory.", len(live))
        yield GaugeMetricFamily(
            "recsys_broken_event_lines", "Lines of the events that are none.", live.broken_lines
        )
        yield self._expiries()

    def _expiries(self) -> Metric:
        family = GaugeMetricFamily(
            "recsys_key_expiry_seconds", "Until a key that expires does so.", labels=("key",)
        )
        keys = self._context.keys
        if keys is not None:
            for name, moment in keys.expiries().items():
                family.add_metric((name,), moment - time.time())
        return family
