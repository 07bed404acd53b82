"""What the server counts, in the words of Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

#: Seconds: shards that are there take milliseconds, packages that are built take up to the budget.
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 60)

CONTENT_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """One server's figures, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self._watched: dict[str, Gauge] = {}
        self._requests = Counter(
            "pypi_bridge_requests", "Requests answered.", ["route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "pypi_bridge_request_seconds",
            "Time until a request was answered.",
            ["route"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self._sent = Counter(
            "pypi_bridge_sent_bytes", "Bytes of bodies that were sent.", ["route"], registry=registry
        )
        self.in_flight = Gauge(
            "pypi_bridge_requests_in_flight", "Requests being answered.", registry=registry
        )
        self.refused = Counter("pypi_bridge_refused", "Requests turned away.", ["reason"], registry=registry)

    def watch(self, name: str, channel: str, value: Callable[[], float]) -> None:
        """Show a figure of a channel ("": of the server), which is asked for whenever somebody looks."""
        if name not in self._watched:
            text = f"{name.replace('_', ' ').capitalize()} at this moment."
            labels = ["channel"] if channel else []
            self._watched[name] = Gauge(f"pypi_bridge_{name}", text, labels, registry=self._registry)
        gauge = self._watched[name]
        (gauge.labels(channel) if channel else gauge).set_function(value)

    def answered(self, route: str, status: int, seconds: float, size: int) -> None:
        """Count one request."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)
        self._sent.labels(route).inc(size)

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self._registry)
