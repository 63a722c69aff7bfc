"""One of two ranks that train with whole and with sharded parameters, each in two fits.

Usage: sharded_ranks.py FOLDER; for each way there will be an adapter in FOLDER/WAY, and what the
fits showed in FOLDER/WAY.safetensors.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

from lorafw.adapters.layout.peft_layout import write_adapter
from lorafw.adapters.live.targets import base_modules
from lorafw.assembly.registry import Registry
from lorafw.contracts import AdaptedModel, RunningTrainer, Trainer
from lorafw.contracts._sizes import numel
from lorafw.testing.rank_worker import communication_threads
from lorafw.testing.toy_engine import advance, opened
from lorafw.testing.toy_training import Trained, started, train, training_plan, training_rows
from lorafw.testing.toys import toy_bundle
from lorafw.testing.values import as_if_trained, equal
from lorafw.types import Task

WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "whole": ("ddp", {}),
    "sharded": ("accelerate", {"fsdp": True}),
    "kept-after-forward": ("accelerate", {"fsdp": True, "reshard_after_forward": False}),
}


def adapted() -> AdaptedModel:
    """The toy with LoRA in its layers and a head that is trained whole, outside them."""
    injector: Any = Registry().load("injector", "custom")(r=4, modules_to_save=["lm_head"])
    model: AdaptedModel = injector.inject(toy_bundle(tie_word_embeddings=False))
    as_if_trained(model, 1)
    return model


def run(way: str, folder: Path) -> None:
    """Two fits, the second with options that take another engine; then all is as it was."""
    model = adapted()
    module = model.bundle.module
    before = dict(module.named_parameters())
    with started(_trainer(way)) as running:
        first = _fit(running, model)
        if way != "whole":
            _check_pieces(module, model)
        _export(running, model, folder / way)
        second = _fit(running, model, weight_decay=0.0)
        _save(running, {"first": first, "second": second}, folder / f"{way}.safetensors")
    after = dict(module.named_parameters())
    assert after.keys() == before.keys()
    assert all(after[name] is parameter for name, parameter in before.items())
    assert not any("FSDP" in type(part).__name__ for part in module.modules())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())


def _fit(running: RunningTrainer, model: AdaptedModel, **plan: Any) -> Trained:
    options = training_plan(evaluate_every=1, **plan)
    return train(running, model, options, eval_rows=training_rows()[:5])


def _check_pieces(module: nn.Module, model: AdaptedModel) -> None:
    """Either rank holds half of the weights, and so do the objects that the optimizer has.

    Each layer gathers its own.
    """
    assert all(isinstance(layer, FSDPModule) for layer in model.bundle.layers)
    held = [p.to_local() for p in module.parameters() if isinstance(p, DTensor)]
    assert len(held) == len(list(module.parameters()))
    total = sum(map(numel, module.parameters()))
    assert sum(piece.numel() for piece in held) == total // 2
    assert all(2 * p.numel() == numel(p) for p in model.trainable().values())


def _export(running: RunningTrainer, model: AdaptedModel, folder: Path) -> None:
    module = model.bundle.module
    with running.full_parameters(module):
        live = {id(p) for p in module.parameters() if p.requires_grad}
        assert live == {id(p) for p in model.trainable().values()}
        assert all(p.numel() == numel(p) for p in module.parameters())
        if running.world.rank == 0:
            folder.mkdir()
            state = model.state()
            modules = base_modules(module, state.spec.targets)
            write_adapter(
                folder,
                state,
                base_path="toy",
                recipe={},
                modules=modules,
                fan_in_fan_out=False,
                task=Task.CAUSAL_LM,
            )


def _save(running: RunningTrainer, fits: dict[str, Trained], path: Path) -> None:
    seen = {f"{fit}/{name}": t for fit, done in fits.items() for name, t in done.values.items()}
    for fit, done in fits.items():
        told = [p["figures"]["loss"] for event, p in done.events if event == "evaluation_end"]
        seen[f"{fit}/evaluations"] = torch.tensor(told, dtype=torch.float64)
        notices = [p["message"] for event, p in done.events if event == "notice"]
        seen[f"{fit}/told"] = torch.tensor([sum("on a CPU" in notice for notice in notices)])
    if running.world.rank == 0:
        save_file(seen, path)


def check_state_moves() -> None:
    """A state goes from pieces to whole parameters and back, and no bit of it changes."""
    whole, sharded = _trainer("whole"), _trainer("sharded")
    with opened(sharded) as engine:
        advance(engine, [0, 1])
        first = engine.state()
    with opened(whole) as engine:
        engine.load_state(first)
        second = engine.state()
    with opened(sharded) as engine:
        engine.load_state(second)
        third = engine.state()
    assert equal(first, second)
    assert equal(second, third)


def _trainer(way: str) -> Trainer:
    name, options = WAYS[way]
    trainer = Registry().load("trainer", name).from_mapping(options, where="trainer")
    assert isinstance(trainer, Trainer)
    return trainer


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    for way in WAYS:
        run(way, folder)
    check_state_moves()
    assert not communication_threads()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
