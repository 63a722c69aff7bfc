"""The page of a run: what its history says, laid out for the template."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lorafw.builtin.pages import page_template
from lorafw.builtin.trackers import _chart, _heat_map
from lorafw.builtin.trackers._history import Curve, History
from lorafw.builtin.trackers._scores import drawn_scores
from lorafw.builtin.trackers._settings import Scalar, flattened

PARTS = ("dataset", "model", "injector", "trainer", "encoder", "objective", "scenario")
CHARTS = {
    "Loss": {"training": "train/loss", "held out": "eval/loss"},
    "Learning rate": {"learning rate": "train/learning_rate"},
    "Gradient norm": {"gradient norm": "train/grad_norm"},
    "Tokens per second": {"tokens per second": "train/tokens_per_second"},
}
_TOLD_APART = {"evaluation", "evaluation_before", "fingerprint", "exports", "data", "scores"}
"""Sections of the record that have a place of their own on the page."""


def render(history: History) -> str:
    """The page as HTML; whatever comes from config or data is escaped by the template."""
    return page_template(__package__, "report.html.jinja").render(
        name=history.config.get("run", {}).get("name", history.folder.name),
        state=_state(history),
        history=history,
        tiles=_tiles(history),
        parts=_parts(history.config),
        stages=[(stage, _charts(curves)) for stage, curves in history.curves.items()],
        scores=drawn_scores(history.scores, history.result.get("scores", {})),
        layout=_chart,
        grid=_heat_map,
        evaluations=_evaluations(history),
        record=_record(history.result),
        data=flattened(history.result.get("data", {})),
        fingerprint=flattened(history.result.get("fingerprint", {})),
        versions={**history.config.get("versions", {}), "platform": platform.platform()},
        settings=flattened({k: v for k, v in history.config.items() if k != "versions"}),
        use=_use(history),
    )


def _state(history: History) -> str:
    if history.error is not None:
        return "failed"
    return str(history.result.get("ended", "finished")) if history.result else "running"


def _tiles(history: History) -> dict[str, Scalar]:
    """The few figures one looks for first; those that are not known are left out."""
    result, counts = history.result, history.counts
    memory = result.get("peak_memory_bytes")
    tiles = {
        "steps": result.get("steps", counts.get("steps")),
        "last loss": result.get("last_loss", _last(history, "train/loss")),
        "held-out loss": result.get("evaluation", {}).get("loss", _last(history, "eval/loss")),
        "best step": result.get("best_step"),
        "rows": counts.get("rows"),
        "parameters trained": counts.get("trainable"),
        "parameters in all": counts.get("parameters"),
        "tokens": result.get("tokens"),
        "tokens per second": _rounded(result.get("tokens_per_second")),
        "time": _duration(result.get("seconds")),
        "peak memory": None if memory is None else f"{memory / 2**30:.2f} GiB",
        "ranks": result.get("world_size"),
    }
    return {name: value for name, value in tiles.items() if value is not None}


def _last(history: History, name: str) -> float | None:
    curves = [curves[name] for curves in history.curves.values() if name in curves]
    return curves[-1].values[-1] if curves and curves[-1].values else None


def _rounded(value: float | None) -> int | None:
    return None if value is None else round(value)


def _duration(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if minutes or hours else f"{seconds:.1f} s"


def _parts(config: Mapping[str, Any]) -> list[tuple[str, str, dict[str, Scalar]]]:
    """Kind, name and options of every part."""
    single = [(kind, config[kind]) for kind in PARTS if kind in config]
    several = [
        (section.removesuffix("s"), part)
        for section in ("exporters", "listeners")
        for part in config.get(section, ())
    ]
    return [(kind, *_named(part)) for kind, part in [*single, *several]]


def _named(part: Mapping[str, Any]) -> tuple[str, dict[str, Scalar]]:
    options = {name: value for name, value in part.items() if name != "use"}
    return str(part.get("use", "")), flattened(options)


def _charts(curves: Mapping[str, Curve]) -> list[_chart.Chart]:
    drawn = [
        _chart.chart(
            title, {label: curves[name] for label, name in lines.items() if name in curves}
        )
        for title, lines in CHARTS.items()
    ]
    return [chart for chart in drawn if chart is not None]


def _evaluations(history: History) -> list[tuple[str, Scalar, Scalar]]:
    """Each held-out figure before the first step and after the last."""
    before, after = (history.result.get(f"evaluation{end}", {}) for end in ("_before", ""))
    if not history.result:
        before, after = _measured(history, 0), _measured(history, -1)
    names = dict.fromkeys([*before, *after])
    return [(name, before.get(name), after.get(name)) for name in names]


def _measured(history: History, place: int) -> dict[str, float]:
    """What evaluations have shown, the first (0) or the last (-1) of them."""
    return {
        name.removeprefix("eval/"): curve.values[place]
        for curves in history.curves.values()
        for name, curve in curves.items()
        if name.startswith("eval/") and curve.values
    }


def _record(result: Mapping[str, Any]) -> dict[str, Scalar]:
    return flattened({k: v for k, v in result.items() if k not in _TOLD_APART})


def _use(history: History) -> dict[str, str]:
    """Ways to use the adapter, by what they need; none before there is one."""
    if "adapter" not in history.exports:
        return {}
    folder, adapter = str(history.folder), str(Path(history.exports["adapter"]))
    labels = history.config.get("objective", {}).get("use") == "classification"
    call = "classify" if labels else "generate"
    peft = f"model = PeftModel.from_pretrained(base, {adapter!r})"
    ways = {
        "Python": f"import lorafw\n\nmodel = lorafw.load({folder!r})\nprint(model.{call}('…'))",
        "PEFT": f"from peft import PeftModel\n\n{peft}",
    }
    shell = {"Shell": f'lorafw generate {shlex.quote(folder)} --prompt "…"'}
    return ways if labels else {**shell, **ways}
