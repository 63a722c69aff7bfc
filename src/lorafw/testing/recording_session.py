"""A session in which nothing is trained; it notes what it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from lorafw.builtin.causal_lm import CausalLM
from lorafw.contracts import FitResult, Guide, Objective, Steer, Task, Tensors, TrainPlan
from lorafw.types import IGNORE_INDEX, AdapterSpec, Encoded, Example

if TYPE_CHECKING:
    from torch import Tensor

TARGET = "layers.0.q"
"""The one module the model of this session adapts."""
_PROMPTS, _VIRTUAL_TOKENS = "prompt_embeddings", 60
"""The model also has virtual tokens: as many as three tasks can share, and ten prompts of six."""


class RecordingSession:
    """Answers as a session would, with values that follow from what was asked.

    Args:
        finished: answer as if an earlier process had finished every stage.
        several: a list of three tasks; otherwise one data set.

    Attributes:
        calls: what was asked for, in order, each with the names it was given.
    """

    def __init__(self, *, finished: bool = False, several: bool = False) -> None:
        import torch

        self.calls: list[tuple[str, ...]] = []
        self.notes: dict[str, object] = {}
        self.seed = 0
        self.plan = TrainPlan()
        self.objective: Objective = CausalLM()
        self.tasks: Sequence[Task] = _three_tasks() if several else (_task("train", 0),)
        self._finished = finished
        pair = AdapterSpec(6, 6.0, (TARGET,)).pair_of(TARGET)
        self._values = {pair[0]: torch.ones(6, 4), pair[1]: torch.zeros(4, 6)}
        self._values[_PROMPTS] = torch.ones(_VIRTUAL_TOKENS, 2)
        self.model: Any = _model(self._values)

    def fit(
        self,
        stage: str,
        *,
        task: Task | None = None,
        guide: Guide | None = None,
        objective: Objective | None = None,
    ) -> FitResult:
        """Note the stage and its task, and let the guide guide once."""
        del objective
        self.calls.append(("fit", stage, *([task.name] if task else [])))
        if guide is not None and not self._finished:
            guide.penalty()
            if guide.wants_gradients:
                guide.adjust(0, {name: value + 1 for name, value in self._values.items()})
        return FitResult(3, 2.0, 1.0, {"loss": 1.5}, {"loss": 2.5}, 90, 1)

    def evaluate(self) -> Mapping[str, float]:
        """Note it."""
        self.calls.append(("evaluate",))
        return {"loss": 1.5}

    def score(self, stage: str, task: Task, *, steer: Steer | None = None) -> Mapping[str, float]:
        """Note stage and task."""
        del steer
        self.calls.append(("score", stage, task.name))
        return {"loss": 1.5}

    def once(self, name: str, compute: Callable[[], Tensors]) -> Tensors:
        """Note the name, and compute, for there is nothing an earlier process could have left."""
        self.calls.append(("once", name))
        return compute()

    def values(self) -> Tensors:
        """The values of an adapter that nobody trains."""
        return {name: value.clone() for name, value in self._values.items()}

    def load(self, values: Tensors) -> None:
        """Take them."""
        assert values.keys() == self._values.keys(), "loads other tensors than the adapter has"
        self._values.update({name: value.clone() for name, value in values.items()})

    def reset(self) -> None:
        """Note it."""
        self.calls.append(("reset",))

    def gradient(self, rows: Sequence[Encoded], *, squared: bool = False) -> Tensors:
        """Something that depends on the rows; not negative if it is squared."""
        assert rows, "asks for the gradient of no rows"
        size = float(sum(row.input_ids[0] for row in rows)) - 5.0
        value = size * size if squared else size
        return {name: each * 0 + value for name, each in self._values.items()}

    def embed(self, rows: Sequence[Encoded]) -> Tensor:
        """Each row's first ids."""
        import torch

        return torch.tensor([[float(token) for token in row.input_ids[:2]] for row in rows])

    def draw(
        self,
        name: str,
        prompts: Sequence[Encoded],
        *,
        new_tokens: int,
        ends: Collection[int],
        temperature: float = 1.0,
        top_k: int = 0,
    ) -> Sequence[Sequence[int]]:
        """Note the name; a draw repeats its prompt and ends."""
        del temperature, top_k
        self.calls.append(("draw", name))
        assert all(len(row.input_ids) for row in prompts), "draws from an empty prompt"
        return [[*row.input_ids, *ends][-new_tokens:] for row in prompts]

    def prompt(self, task: Task, example: Example) -> Encoded:
        """The prompt of the task's first row, whatever the example."""
        del example
        return Encoded(list(task.rows[0].input_ids)[:1], [IGNORE_INDEX])

    def longest(self, task: Task) -> int:
        """The same for every task."""
        del task
        return 1024

    def save_adapter(self, name: str) -> None:
        """Note the name."""
        self.calls.append(("save_adapter", name))

    def note(self, **facts: object) -> None:
        """Keep them."""
        self.notes.update(facts)

    def export(self) -> None:
        """Note it."""
        self.calls.append(("export",))


def _three_tasks() -> tuple[Task, ...]:
    return tuple(_task(name, at) for at, name in enumerate(("first", "second", "third")))


def _task(name: str, at: int) -> Task:
    rows = [Encoded([at + 1, 2, 3 + row], [-100, 2, 3 + row]) for row in range(4)]
    return Task(name, rows, rows[:2])


def _model(values: Tensors) -> Any:
    """As much of an adapted model as can be had without a model."""
    bundle = SimpleNamespace(tokenizer=_Bytes())
    return SimpleNamespace(
        spec=AdapterSpec(6, 6.0, (TARGET,)),
        trainable=lambda: values,
        showing=lambda tokens, learning=None: nullcontext(),  # noqa: ARG005
        bundle=bundle,
    )


class _Bytes:
    """A tokenizer whose ids are the bytes of a text."""

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        del add_special_tokens
        return list(text.encode())
