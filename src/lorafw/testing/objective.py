"""What an objective promises: sums that add up over any split of a batch."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from lorafw.contracts import AdaptedModel, ModelBundle, Objective
from lorafw.testing.component import ComponentContract
from lorafw.types import Batch, Capability, Encoded, Layout, Task

if TYPE_CHECKING:
    from torch import Tensor

_SPLITS = 12


class _Share(NamedTuple):
    loss: float
    gradients: Mapping[str, Tensor]


class ObjectiveContract(ComponentContract, kind="objective"):
    """Promises of an `Objective`; the fixture is called `objective`.

    An objective of a task of its own overrides `model` and `batch`.
    """

    def model(self, objective: Objective) -> AdaptedModel:
        """A small model for the objective's task with trainable parameters, always the same."""
        from lorafw.testing.toy_classifier import toy_classifier
        from lorafw.testing.toy_injector import ToyInjector
        from lorafw.testing.toys import toy_bundle
        from lorafw.testing.values import as_if_trained

        classifies = objective.task is Task.CLASSIFICATION
        model = ToyInjector(r=4).inject(toy_classifier() if classifies else toy_bundle())
        as_if_trained(model)
        return model

    def batch(self, rows: Sequence[Encoded], layout: Layout, bundle: ModelBundle) -> Batch:
        """Rows of random tokens laid out for the objective."""
        from lorafw.builtin.text_pair import TextPair
        from lorafw.testing.toy_classifier import with_classes
        from lorafw.testing.toys import ToyEncoder

        able = Capability.SEGMENTS in bundle.capabilities
        layout = layout if able else Layout.PADDED
        if bundle.task is Task.CLASSIFICATION:
            return TextPair().collate(with_classes(rows), layout, bundle.pad_id)
        return ToyEncoder().collate(rows, layout, bundle.pad_id)

    def test_shares_of_any_split_add_up_to_the_whole(self, objective: Objective) -> None:
        from lorafw.testing.values import distance

        model = self.model(objective)
        whole = self._shares(objective, model, [self._batch(model, _rows())])
        for number in range(_SPLITS):
            split = self._shares(objective, model, self._split(model, number))
            off = abs(split.loss - whole.loss) / abs(whole.loss)
            assert off <= 1e-5, f"split {number}: the loss is off by {off:.1e}"
            for name, gradient in whole.gradients.items():
                off = distance(split.gradients[name], gradient)
                assert off <= 1e-5, f"split {number}: {name} is off by {off:.1e}"

    def test_without_targets_loss_and_gradients_are_zero_and_have_a_graph(
        self, objective: Objective
    ) -> None:
        model = self.model(objective)
        totals = objective.counts(self._batch(model, _rows()))
        idle = self._batch(model, _rows()[:2]).without_targets()
        assert not any(objective.counts(idle).values()), f"counts: {objective.counts(idle)}"
        loss, gradients = _share(objective, model, idle, totals)
        assert loss == 0, f"the loss is {loss}"
        moved = [name for name, gradient in gradients.items() if gradient.any()]
        assert not moved, f"gradients are not zero: {', '.join(moved)}"

    def test_evaluation_gives_the_loss_that_is_trained(self, objective: Objective) -> None:
        model = self.model(objective)
        batch = self._batch(model, _rows())
        trained, _ = _share(objective, model, batch, objective.counts(batch))
        sums = self._measured(objective, model, [batch])
        measured = objective.summarise(sums)["loss"]
        off = abs(measured - trained) / abs(trained)
        assert off <= 1e-5, f"summarise gives {measured}, training {trained}"

    def test_what_is_measured_adds_up_over_any_split(self, objective: Objective) -> None:
        model = self.model(objective)
        whole = self._measured(objective, model, [self._batch(model, _rows())])
        for number in range(_SPLITS):
            split = self._measured(objective, model, self._split(model, number))
            for name, value in whole.items():
                assert abs(split[name] - value) <= 1e-5 * abs(value), f"split {number}: {name}"

    def test_units_and_sums_name_what_is_returned(self, objective: Objective) -> None:
        model = self.model(objective)
        batch = self._batch(model, _rows())
        counts, measured = objective.counts(batch), objective.measure(model.bundle, batch)
        assert set(counts) == set(objective.units), f"{set(counts)} is not {objective.units}"
        sums = objective.sums_of(model.bundle)
        assert set(measured) == set(sums), f"{set(measured)} is not {sums}"

    def test_it_says_which_way_figures_are_better(self, objective: Objective) -> None:
        assert objective.better.get("loss") == "lower", "a lower loss has to be better"
        directions = set(objective.better.values())
        assert directions <= {"lower", "higher"}, f"neither lower nor higher: {directions}"

    def _batch(
        self, model: AdaptedModel, rows: Sequence[Encoded], layout: Layout = Layout.PADDED
    ) -> Batch:
        return self.batch(rows, layout, model.bundle)

    def _split(self, model: AdaptedModel, number: int) -> list[Batch]:
        """The same rows in random portions, some laid end to end and some padded."""
        chance, rows = random.Random(number), _rows()
        chance.shuffle(rows)
        batches = []
        while rows:
            count = chance.randint(1, len(rows))
            batches.append(self._batch(model, rows[:count], chance.choice(list(Layout))))
            rows = rows[count:]
        return batches

    def _shares(
        self, objective: Objective, model: AdaptedModel, batches: Sequence[Batch]
    ) -> _Share:
        totals: Counter[str] = Counter()
        for batch in batches:
            totals.update(objective.counts(batch))
        shares = [_share(objective, model, batch, totals) for batch in batches]
        gradients = {
            name: sum((share.gradients[name] for share in shares[1:]), shares[0].gradients[name])
            for name in model.trainable()
        }
        return _Share(sum(share.loss for share in shares), gradients)

    def _measured(
        self, objective: Objective, model: AdaptedModel, batches: Sequence[Batch]
    ) -> Mapping[str, float]:
        totals: Counter[str] = Counter()
        for batch in batches:
            sums = objective.measure(model.bundle, batch)
            totals.update({name: float(value.detach()) for name, value in sums.items()})
        return totals


def _rows() -> list[Encoded]:
    from lorafw.testing.toys import toy_rows

    return toy_rows(7, seed=2)


def _share(
    objective: Objective, model: AdaptedModel, batch: Batch, totals: Mapping[str, float]
) -> _Share:
    import torch

    parameters = dict(model.trainable())
    loss = objective.loss(model.bundle, batch, totals)
    assert loss.requires_grad, "the loss has no graph, so ranks would wait for each other forever"
    assert (loss.dtype, loss.dim()) == (torch.float32, 0), "the loss is no fp32 scalar"
    found = torch.autograd.grad(loss, list(parameters.values()))
    return _Share(float(loss.detach()), dict(zip(parameters, found, strict=True)))
