"""The plain training that trainers are held against."""

from __future__ import annotations

from lorafw.testing.reference import train_plainly
from lorafw.testing.toy_training import CLIP, STEPS, toy_model


def test_the_reference_is_not_blind() -> None:
    seen, start = train_plainly(), toy_model().state().tensors
    assert len(seen.losses) == len(seen.norms) == len(seen.gradients) == STEPS
    assert all(float(gradient.norm()) > 1e-4 for gradient in seen.gradients[0].values())
    assert min(seen.norms) < CLIP < max(seen.norms), "some steps are clipped and some are not"
    for name, value in seen.values.items():
        assert (value - start[name]).abs().mean() > 1e-3, f"{name} hardly moved"
