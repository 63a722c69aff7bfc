"""O-LoRA's shares of ranks: what is trained, what is kept, and what the penalty is."""

from __future__ import annotations

import pytest
import torch

from lorafw.errors import CompositionError, TrainingError
from lorafw.types import AdapterSpec
from lorafw_continual._rank_blocks import Factors, OwnRanks, factors_of, share_of

RANK, TASKS = 6, 3
SPEC = AdapterSpec(RANK, 6.0, ("q", "v"))


def _values(seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = {"A": (RANK, 5), "B": (4, RANK)}
    return {
        f"{module}.lora_{factor}.weight": torch.randn(
            shape, generator=generator, dtype=torch.float64
        )
        for module in SPEC.targets
        for factor, shape in shapes.items()
    }


def _fresh() -> dict[str, torch.Tensor]:
    return {name: each * (".lora_A." in name) for name, each in _values().items()}


def _guide(values: dict[str, torch.Tensor], number: int, lambda_2: float = 0.0) -> OwnRanks:
    own = share_of(factors_of(SPEC, _fresh()), TASKS)(number)
    return OwnRanks(values, values, own, 0.5, lambda_2)


def test_shares_cover_every_rank_once() -> None:
    share = share_of(factors_of(SPEC, _fresh()), TASKS)
    assert [share(number)[0] for number in range(TASKS)] == [
        Factors("q.lora_A.weight", "q.lora_B.weight", at, at + 2) for at in (0, 2, 4)
    ]


def test_only_the_tasks_own_ranks_have_a_gradient() -> None:
    gradients = {**_values(1), "head.weight": torch.ones(2)}
    found = _guide(_values(), 1).adjust(0, gradients)
    for name, gradient in gradients.items():
        wanted = gradient.clone()
        if ".lora_A." in name:
            wanted[:2], wanted[4:] = 0, 0
        elif ".lora_B." in name:
            wanted[:, :2], wanted[:, 4:] = 0, 0
        assert torch.equal(found[name], wanted)


def test_the_penalty_and_its_gradient_are_those_of_the_definition() -> None:
    values = {name: each.requires_grad_() for name, each in _values().items()}
    penalty = _guide(values, 2, lambda_2=0.1).penalty()
    assert penalty is not None
    wanted, gradients = torch.zeros(()).double(), {}
    for module in SPEC.targets:
        a, b = values[f"{module}.lora_A.weight"], values[f"{module}.lora_B.weight"]
        for old in (slice(0, 2), slice(2, 4)):
            wanted = wanted + 0.5 * (a[old] @ a[4:].T).abs().sum()
        lengths = a[4:].square().sum().sqrt() + b[:, 4:].square().sum().sqrt()
        wanted = wanted + 0.1 * lengths
        product = a[:4].detach() @ a[4:].detach().T
        rows = a[4:].detach()
        gradients[module] = 0.5 * product.sign().T @ a[:4].detach() + 0.1 * rows / rows.norm()
    torch.testing.assert_close(penalty, wanted)
    penalty.backward()
    for module, gradient in gradients.items():
        found = values[f"{module}.lora_A.weight"].grad
        assert found is not None
        torch.testing.assert_close(found[4:], gradient)
        assert not found[:4].any()  # earlier rows are not drawn to the new ones


@pytest.mark.parametrize("step", [1e-2, 1e-3])
def test_along_its_gradient_subspaces_become_orthogonal_up_to_a_step(step: float) -> None:
    values = {name: each.requires_grad_() for name, each in _values().items()}
    guide = _guide(values, 1)
    for _ in range(int(20 / step)):
        penalty = guide.penalty()
        assert penalty is not None
        penalty.backward()
        torch.optim.SGD(values.values(), lr=step).step()
        for value in values.values():
            value.grad = None
    for module in SPEC.targets:
        a = values[f"{module}.lora_A.weight"].detach()
        before = _values()[f"{module}.lora_A.weight"]
        farthest = step * a[:2].square().sum()  # what a step moves a product by, at most
        assert (a[:2] @ a[2:4].T).abs().max() <= farthest < (before[:2] @ before[2:4].T).abs().max()


def test_the_first_task_has_nothing_to_keep_away_from() -> None:
    assert _guide(_values(), 0).penalty() is None


def test_what_moves_although_it_has_no_gradient_stops_the_run() -> None:
    values = _values()
    guide = _guide(values, 1)
    guide.adjust(0, _values(1))
    values["v.lora_B.weight"][:, 2:4] += 1
    guide.adjust(1, _values(1))
    values["v.lora_B.weight"][:, :2] *= 0.99
    with pytest.raises(TrainingError, match=r"moved in v\.lora_B\.weight.*weight_decay"):
        guide.adjust(2, _values(1))


@pytest.mark.parametrize(
    ("spec", "values", "told"),
    [
        (SPEC, _values(), "whose B is 0"),
        (AdapterSpec(6, 6.0, ("q",), use_dora=True), _fresh(), "plain LoRA factors"),
        (AdapterSpec(6, 6.0, ("q",), method="PREFIX_TUNING"), {}, "plain LoRA factors"),
        (AdapterSpec(6, 6.0, ("k",)), _fresh(), "plain LoRA factors"),
        (AdapterSpec(6, 6.0, (), trained=("head",)), {}, "plain LoRA factors"),
    ],
)
def test_adapters_that_have_no_ranks_to_share_are_refused(
    spec: AdapterSpec, values: dict[str, torch.Tensor], told: str
) -> None:
    with pytest.raises(CompositionError, match=told):
        factors_of(spec, values)
