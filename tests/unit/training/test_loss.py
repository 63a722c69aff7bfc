"""The summed loss and its gradients, against the ordinary computation in fp64."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lorafw.training.loss import chunked_loss, label_loss


def sample(n: int, width: int, vocab: int, spread: float = 2.0) -> tuple[Tensor, Tensor, Tensor]:
    """Hidden rows, targets and a head whose logits have standard deviation `spread`."""
    generator = torch.Generator().manual_seed(n * 10_007 + vocab)
    rows = torch.randn(n, width, dtype=torch.float64, generator=generator)
    head = torch.randn(vocab, width, dtype=torch.float64, generator=generator)
    targets = torch.randint(0, vocab, (n,), generator=generator)
    return rows, targets, head * (spread / width**0.5)


def ordinary(rows: Tensor, targets: Tensor, head: Tensor) -> tuple[Tensor, Tensor]:
    """Loss in fp32 or wider from logits in the dtype of `rows`, and the gradient of `rows`."""
    rows = rows.detach().requires_grad_()
    logits = F.linear(rows, head)
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    loss = F.cross_entropy(wide, targets, reduction="sum")
    return loss.detach(), torch.autograd.grad(loss, rows)[0]


def ours(rows: Tensor, targets: Tensor, head: Tensor, chunk_rows: int) -> tuple[Tensor, Tensor]:
    rows = rows.detach().requires_grad_()
    loss = label_loss(rows, targets, head, chunk_rows=chunk_rows)
    return loss.detach(), torch.autograd.grad(loss, rows)[0]


def distance(value: Tensor, reference: Tensor) -> float:
    return float((value.double() - reference).norm() / reference.norm())


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(0, 40),
    width=st.integers(1, 9),
    vocab=st.integers(1, 70),
    chunk_rows=st.integers(1, 50),
)
def test_equals_the_ordinary_loss_for_all_shapes(
    n: int, width: int, vocab: int, chunk_rows: int
) -> None:
    rows, targets, head = sample(n, width, vocab)
    loss, gradient = ours(rows, targets, head, chunk_rows)
    expected, expected_gradient = ordinary(rows, targets, head)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(gradient, expected_gradient)


def test_passes_the_gradient_check() -> None:
    rows, targets, head = sample(5, 4, 11)
    assert torch.autograd.gradcheck(
        lambda rows: label_loss(3 * rows, targets, head, chunk_rows=2), rows.requires_grad_()
    )


@pytest.mark.parametrize("spread", [2.0, 40.0])
def test_is_as_near_to_fp64_as_the_ordinary_loss_in_bf16(spread: float) -> None:
    rows, targets, head = sample(200, 64, 3000, spread)
    reference, reference_gradient = ordinary(rows, targets, head)
    low = rows.bfloat16(), targets, head.bfloat16()
    loss, gradient = ours(*low, chunk_rows=48)
    usual, usual_gradient = ordinary(*low)
    assert loss.dtype == torch.float32
    assert gradient.dtype == torch.bfloat16
    torch.testing.assert_close(loss, usual, rtol=1e-6, atol=0)
    assert distance(gradient, reference_gradient) < 1.05 * distance(
        usual_gradient, reference_gradient
    )
    assert distance(loss, reference) < 0.01


def test_a_hopeless_target_has_a_finite_loss() -> None:
    rows, head = torch.ones(1, 1), torch.tensor([[1000.0], [-1000.0]])
    loss, gradient = ours(rows, torch.tensor([1]), head, 1)
    assert loss == 2000
    assert gradient == 2000


def test_no_rows_give_zero_with_a_graph() -> None:
    hidden = torch.randn(4, 3, requires_grad=True)
    nothing = torch.zeros(0, dtype=torch.int64)
    loss = label_loss(hidden[nothing], nothing, torch.randn(7, 3))
    loss.backward()
    assert loss == 0
    assert hidden.grad is not None
    assert not hidden.grad.any()


def test_evaluation_keeps_nothing() -> None:
    rows, targets, head = sample(9, 4, 11)
    with torch.no_grad():
        loss = label_loss(rows.requires_grad_(), targets, head.requires_grad_(), chunk_rows=4)
    assert not loss.requires_grad
    torch.testing.assert_close(loss, ordinary(rows, targets, head)[0])


def test_backward_does_not_need_the_head() -> None:
    rows, targets, head = sample(9, 4, 11)
    _, expected = ordinary(rows, targets, head)
    rows.requires_grad_()
    loss = label_loss(rows, targets, head)
    head.data = torch.empty(0, dtype=head.dtype)
    torch.testing.assert_close(torch.autograd.grad(loss, rows)[0], expected)


def test_backward_scales_by_what_comes_in_and_may_run_twice() -> None:
    rows, targets, head = sample(9, 4, 11)
    _, expected = ordinary(rows, targets, head)
    rows.requires_grad_()
    loss = label_loss(rows, targets, head) / 7
    for _ in range(2):
        gradient = torch.autograd.grad(loss, rows, retain_graph=True)[0]
        torch.testing.assert_close(gradient, expected / 7)


def test_autocast_decides_the_dtype_of_the_logits() -> None:
    rows, targets, head = (x.float() if x.is_floating_point() else x for x in sample(30, 16, 50))
    low, _ = ordinary(rows.bfloat16(), targets, head.bfloat16())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, gradient = ours(rows, targets, head, 512)
    torch.testing.assert_close(loss, low, rtol=1e-6, atol=0)
    assert gradient.dtype == torch.float32


def test_refuses_a_head_that_is_trained() -> None:
    rows, targets, head = sample(3, 4, 11)
    with pytest.raises(ValueError, match="chunked_loss"):
        label_loss(rows, targets, head.requires_grad_())


class SoftCapped(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 11, dtype=torch.float64)

    def forward(self, rows: Tensor) -> Tensor:
        return 5 * torch.tanh(self.linear(rows) / 5)


@pytest.mark.parametrize("chunk_rows", [1, 4, 512])
def test_any_head_gets_the_ordinary_loss_and_gradients(chunk_rows: int) -> None:
    rows, targets, _ = sample(9, 4, 11)
    head = SoftCapped()
    wanted = [rows.requires_grad_(), *head.parameters()]
    expected = F.cross_entropy(head(rows), targets, reduction="sum")
    loss = chunked_loss(rows, targets, head, chunk_rows=chunk_rows)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(
        torch.autograd.grad(loss, wanted), torch.autograd.grad(expected, wanted)
    )


def test_any_head_takes_part_without_rows() -> None:
    head = SoftCapped()
    rows = torch.zeros(0, 4, dtype=torch.float64, requires_grad=True)
    loss = chunked_loss(rows, torch.zeros(0, dtype=torch.int64), head)
    loss.backward()
    assert loss == 0
    for parameter in head.parameters():
        assert parameter.grad is not None
        assert not parameter.grad.any()


def test_any_head_evaluates_without_a_graph() -> None:
    rows, targets, weight = sample(9, 4, 11)
    with torch.no_grad():
        loss = chunked_loss(rows, targets, lambda rows: F.linear(rows, weight), chunk_rows=4)
    torch.testing.assert_close(loss, ordinary(rows, targets, weight)[0])
