"""A run's plan as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lorafw.cli.tables import columns
from lorafw.planning.planner import RunPlan

_PARTS: Mapping[str, str] = {
    "weights": "weights",
    "adapter": "adapter",
    "gradients": "gradients",
    "optimizer": "optimizer",
    "activations": "activations",
    "head": "head and loss",
    "engine": "engine",
    "libraries": "libraries",
    "holes": "holes in the heap",
}


def lines(plan: RunPlan) -> Iterator[str]:
    """What `lorafw plan` prints."""
    told = plan.record()
    yield from columns([(name, value) for name, value in _facts(told) if value])
    if memory := told["memory"]:
        rows = [(name, _size(memory[key])) for key, name in _PARTS.items() if memory[key]]
        yield from ("", *columns([("MEMORY OF A PROCESS", ""), *rows]))
        yield from columns([("in all", _size(told["peak_bytes"]))])
    else:
        yield from ("", f"Memory is not known: {told['unknown']}.")
    if plan.policies:
        kept = [(f"activations: {way}", _size(size) or "-") for way, size in plan.policies.items()]
        yield from ("", *columns(kept))
    if plan.settled:
        yield from ("", f"Chosen: {plan.settled}")
    if plan.advice:
        yield from ("", *plan.advice)


def _facts(told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if told["trainable"]:
        share = told["trainable"] / told["parameters"]
        yield "trained", f"{told['trainable']:,} of {told['parameters']:,} ({share:.2%})"
    yield "processes", f"{told['world_size']}"
    yield "steps", f"{told['steps']:,}"
    yield "tokens", f"{told['tokens']:,}"
    yield "forward passes", f"{told['micro_batches']:.1f} in a step of a process"
    yield "at most", f"{told['micro_batch_tokens']:,} tokens each"
    yield "activations", told["activations"]
    yield "padding", _padding(told)
    yield "time", _duration(told["seconds"])
    yield "memory free", _size(told["available_bytes"])


def _padding(told: Mapping[str, Any]) -> str:
    here = f"{told['padding']:.1%}"
    if told["layout"] == "padded":
        return here
    return f"{here}, rows end to end (padded: {told['padding_if_padded']:.1%})"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"about {hours}:{minutes:02}:{rest:02}"


def _size(count: int | None) -> str:
    if count is None:
        return ""
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
