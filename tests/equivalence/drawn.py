"""Training runs drawn at random, and the plain ones they must agree with.

Usage: python -m tests.equivalence.drawn OUTPUT RUNS, the latter a JSON file of runs.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import cycle
from pathlib import Path
from typing import Any

import torch
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from tests.equivalence.cases import ENGINES
from tests.equivalence.plain import class_model, token_model
from tests.equivalence.reference import Trace, start_values
from tests.equivalence.worker import Watching
from torch import Tensor

from lorafw.assembly.registry import Registry
from lorafw.builtin.causal_lm import CausalLM
from lorafw.builtin.classification import Classification
from lorafw.builtin.text_pair import TextPair
from lorafw.contracts import AdaptedModel, TrainJob, TrainPlan
from lorafw.testing.toy_classifier import toy_class_rows
from lorafw.testing.toys import ToyEncoder, toy_rows
from lorafw.training import evaluation
from lorafw.types import Capability, Encoded, Layout

LONGEST = 40


@dataclass(frozen=True)
class Run:
    """One drawn run.

    Attributes:
        objective: `causal-lm` or `classification`.
        rows: training rows, ragged; the last step of an epoch may have fewer than `batch`.
        held_out: rows measured before and after.
        seed: of rows and of their order.
        sabotage: a fault built in on purpose.
    """

    engine: str
    ranks: int
    injector: str
    objective: str
    layout: str
    budget: int
    rows: int
    batch: int
    steps: int
    clip: float | None
    rslora: bool
    held_out: int
    seed: int
    sabotage: str = ""

    @property
    def plan(self) -> TrainPlan:
        """AdamW at a fixed rate; eps as large as the tolerance needs where gradients are small."""
        values = {
            "epochs": self.steps,
            "max_steps": self.steps,
            "global_batch_size": self.batch,
            "micro_batch_tokens": self.budget,
            "learning_rate": 1e-3,
            "schedule": "constant",
            "warmup_ratio": 0.0,
            "weight_decay": 0.1,
            "eps": 1e-5,
            "max_grad_norm": self.clip,
        }
        return TrainPlan.from_mapping(values, where="plan")

    @property
    def data(self) -> tuple[list[Encoded], list[Encoded]]:
        """Rows to train, and rows to measure."""
        make = toy_rows if self.objective == "causal-lm" else toy_class_rows
        sizes = ((self.rows, self.seed), (self.held_out, self.seed + 1))
        train, held_out = (make(count, chance, longest=LONGEST) for count, chance in sizes)
        return train, held_out


def runs(ranks: int) -> st.SearchStrategy[Run]:
    """Any run on so many ranks; which engine has it is not drawn."""
    return st.builds(
        Run,
        engine=st.just(""),
        ranks=st.just(ranks),
        injector=st.sampled_from(["custom", "peft"]),
        objective=st.sampled_from(["causal-lm", "classification"]),
        layout=st.sampled_from(["segments", "padded"]),
        budget=st.sampled_from([1, 10_000]) | st.integers(2, 160),
        rows=st.integers(1, 17),
        batch=st.integers(1, 9),
        steps=st.integers(2, 4),
        clip=st.none() | st.sampled_from([0.5, 2.0, 5.0]),
        rslora=st.booleans(),
        held_out=st.integers(1, 9),
        seed=st.integers(0, 2**16),
    )


def draw(ranks: int, count: int, chance: int) -> list[Run]:
    """Runs that follow from the chance, engine after engine; hypothesis draws them, runs none."""
    found: dict[Run, None] = {}

    @seed(chance)
    @settings(
        max_examples=count,
        database=None,
        phases=[Phase.generate],
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(runs(ranks))
    def note(run: Run) -> None:
        found[run] = None

    note()
    engines = cycle(ENGINES)
    return [replace(run, engine=next(engines)) for run in found]


def train(run: Run) -> Trace:
    """The run through the real loop."""
    model = _model(run)
    trace, (rows, held_out) = Trace(), run.data
    able = Capability.SEGMENTS in model.bundle.capabilities
    job = TrainJob(
        model=model,
        objective=CausalLM(chunk_rows=16) if run.objective == "causal-lm" else Classification(),
        encoder=ToyEncoder() if run.objective == "causal-lm" else TextPair(),
        rows=rows,
        eval_rows=held_out,
        plan=run.plan,
        layout=Layout(run.layout) if able else Layout.PADDED,
        seed=run.seed,
    )
    trainer = _trainer(run, trace)
    running = trainer.start()
    try:
        with _fillers_counted(run):
            result = running.fit(job)
        with running.full_parameters(model.bundle.module):
            trace.parameters = dict(model.state().tensors)
    finally:
        running.close()
    assert result.steps == run.steps
    sides = {"before": result.evaluation_before, "after": result.evaluation}
    trace.figures = {f"{side} {n}": v for side, by in sides.items() for n, v in by.items()}
    return trace


def _model(run: Run) -> AdaptedModel:
    bundle = (token_model if run.objective == "causal-lm" else class_model)()
    part: Any = Registry().load("injector", run.injector)
    model: AdaptedModel = part(r=4, use_rslora=run.rslora).inject(bundle)
    factors = {name: p for name, p in model.trainable().items() if ".lora_" in name}
    model.load_state({**model.base_values(), **start_values(factors)})
    return model


def _trainer(run: Run, trace: Trace) -> Any:
    name, options = ENGINES[run.engine]
    part: Any = Registry().load("trainer", name)
    inner = part(**options)
    if run.sabotage in {"mean", "unscaled"}:
        return Watching(inner=inner, trace=trace, sabotage=run.sabotage)
    return inner


@contextmanager
def _fillers_counted(run: Run) -> Iterator[None]:
    """With this fault, rows that only keep ranks in step are measured as if they were others."""
    own = evaluation.collated
    if run.sabotage == "fillers":
        evaluation.collated = lambda job, rows, parts, device: own(  # type: ignore[attr-defined]
            job, rows, [replace(part, filler=False) for part in parts], device
        )
    try:
        yield
    finally:
        evaluation.collated = own  # type: ignore[attr-defined]


def save(trace: Trace, path: Path) -> None:
    """Leave values and figures."""
    figures = {f"figure/{name}": torch.tensor(v).double() for name, v in trace.figures.items()}
    values = {f"value/{name}": value.contiguous() for name, value in trace.parameters.items()}
    save_file({**figures, **values}, path)


def write(found: list[Run], path: Path) -> None:
    """Leave runs for a worker."""
    path.write_text(json.dumps([asdict(run) for run in found]), encoding="utf-8")


def main(output: Path, path: Path) -> None:
    """Train every run of a file, one after another, in this process."""
    torch.set_num_threads(1)
    for number, values in enumerate(json.loads(path.read_text(encoding="utf-8"))):
        trace = train(Run(**values))
        if os.environ.get("RANK", "0") == "0":
            save(trace, output / f"{number}.safetensors")


def differences(found: Mapping[str, Tensor], wanted: Trace) -> dict[str, float]:
    """Largest absolute difference of the adapter's values and of held-out figures."""
    values = {f"value/{name}" for name in wanted.parameters}
    assert values == {name for name in found if name.startswith("value/")}
    figures = {n: (float(found[f"figure/{n}"]), v) for n, v in wanted.figures.items()}
    return {
        "adapter": max(
            float((found[f"value/{name}"] - value).abs().max())
            for name, value in wanted.parameters.items()
        ),
        "figures": max(abs(one - other) / max(1.0, abs(other)) for one, other in figures.values()),
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
