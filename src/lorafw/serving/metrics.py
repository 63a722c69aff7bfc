"""What is counted, for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

if TYPE_CHECKING:
    from starlette.types import Scope

    from lorafw.serving.engine import Engine
    from lorafw.serving.job import Job

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
GONE = 499
"""Status under which requests are counted whose client did not wait for the end, as nginx does."""

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Metrics:
    """Counters of one server, in a registry of its own.

    Args:
        engine: whose answers wait and grow.
    """

    def __init__(self, engine: Engine) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "lorafw_requests", "Requests.", ["model", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "lorafw_request_seconds",
            "From a request's first byte to its answer's last.",
            ["model"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._tokens = Counter(
            "lorafw_tokens",
            "Tokens read and written.",
            ["model", "direction"],
            registry=self._registry,
        )
        waiting = Gauge("lorafw_waiting", "Answers not begun.", registry=self._registry)
        growing = Gauge("lorafw_growing", "Answers being continued.", registry=self._registry)
        waiting.set_function(lambda: engine.waiting)
        growing.set_function(lambda: engine.growing)

    def count_request(self, model: str, status: int, seconds: float) -> None:
        """A request has ended."""
        self._requests.labels(model, str(status)).inc()
        self._seconds.labels(model).observe(seconds)

    def count_tokens(self, model: str, job: Job) -> None:
        """A request's answers have ended, or were given up."""
        self._tokens.labels(model, "in").inc(job.prompt_tokens)
        self._tokens.labels(model, "out").inc(job.answer_tokens)

    def text(self) -> bytes:
        """All of them, as Prometheus reads them."""
        return generate_latest(self._registry)


def mark_model(scope: Scope, model: str) -> None:
    """Note which model a request is for."""
    _notes(scope)["model"] = model


def mark_gone(scope: Scope) -> None:
    """Note that a request's client has left."""
    _notes(scope)["gone"] = True


def model_of(scope: Scope) -> str:
    """The model that a request was for; `none` for requests of none that there is."""
    return str(_notes(scope).get("model", "none"))


def status_of(scope: Scope, status: int) -> int:
    """The status to count a request under."""
    return GONE if _notes(scope).get("gone") else status


def _notes(scope: Scope) -> dict[str, Any]:
    notes: dict[str, Any] = scope.setdefault("lorafw.notes", {})
    return notes
