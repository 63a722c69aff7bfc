"""What an adapted model promises that looks at rows of data before it is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorafw.testing.adapting import Adapting, live_values, off_by
from lorafw.testing.promise import NotPromised, skip_unless
from lorafw.types import Batch, Capability, Layout, Task

if TYPE_CHECKING:
    from torch import Tensor

    from lorafw.contracts import AdaptedModel, LoRAInjector, Objective


class AdapterStart(Adapting):
    """Promises about `start_from`, of injectors whose fresh adapters ask for rows."""

    def test_rows_and_values_alone_decide_where_it_starts(self, injector: LoRAInjector) -> None:
        import torch

        from lorafw.testing.values import equal

        starts = []
        for seed in (5, 5, 6):
            model = _asking(injector, self)
            model.start_from(_batches(model, seed), _objective(model))
            starts.append(_all_values(model))
            torch.rand(3)  # the global generator moves on, which must not matter
        assert equal(starts[1], starts[0]), "the same rows gave another start"
        assert not equal(starts[2], starts[0]), "other rows gave the same start"

    def test_a_start_from_rows_changes_nothing(self, injector: LoRAInjector) -> None:
        model = _asking(injector, self)
        skip_unless(injector, Capability.IDENTITY_START)
        before = {name: id(parameter) for name, parameter in model.trainable().items()}
        model.start_from(_batches(model, 5), _objective(model))
        after = {name: id(parameter) for name, parameter in model.trainable().items()}
        assert after == before, "an optimizer would hold parameters that are not used any more"
        assert all(p.grad is None for p in model.trainable().values()), "it left gradients behind"
        off = off_by(model.bundle, self.bundle())
        assert off <= 1e-5, f"the output moved by {off:.1e}"


def _asking(injector: LoRAInjector, promises: Adapting) -> AdaptedModel:
    model = injector.inject(promises.bundle())
    if not model.start_rows:
        raise NotPromised("its fresh adapters ask for no rows")
    model.reset(seed=1)
    return model


def _batches(model: AdaptedModel, seed: int) -> list[Batch]:
    """Two micro-batches of four rows; of a classifier every row has the class 0."""
    import torch

    from lorafw.testing.toys import ToyEncoder, toy_rows

    rows, pad = toy_rows(8, seed), model.bundle.pad_id
    found = [ToyEncoder().collate(rows[at : at + 4], Layout.PADDED, pad) for at in (0, 4)]
    if model.bundle.task is Task.CLASSIFICATION:
        return [Batch(batch.inputs, torch.zeros(4, dtype=torch.int64)) for batch in found]
    return found


def _objective(model: AdaptedModel) -> Objective:
    from lorafw.builtin.causal_lm import CausalLM
    from lorafw.builtin.classification import Classification

    return Classification() if model.bundle.task is Task.CLASSIFICATION else CausalLM()


def _all_values(model: AdaptedModel) -> dict[str, dict[str, Tensor]]:
    return {"live": live_values(model), "kept": dict(model.training_state())}
