"""Forms of LoRA that both injectors make, and how one is trained under an engine."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import torch
from tests.equivalence import worker
from tests.equivalence.cases import Case

from lorafw.assembly.registry import Registry
from lorafw.contracts import AdaptedModel
from lorafw.testing.toys import toy_bundle

FORMS: dict[str, dict[str, Any]] = {
    "lora": {},
    "rslora": {"use_rslora": True},
    "dora": {"use_dora": True},
    "patterns": {"rank_pattern": {"q_proj": 2, "down_proj": 8}, "alpha_pattern": {"v_proj": 4.0}},
    "lora-plus": {"lora_plus_ratio": 8.0},
    "some-layers": {"layers_to_transform": [1], "exclude_modules": ["o_proj"]},
    "head-saved": {"modules_to_save": ["lm_head"]},
    "biases": {"bias": "lora_only"},
}
ENGINES: dict[str, tuple[str, ...]] = {
    "ddp": tuple(FORMS),
    "deepspeed-3": ("lora", "dora", "lora-plus", "head-saved"),
}
"""Which forms are trained under which engine."""

INJECTORS = ("custom", "peft")


def start(form: str, injector: str) -> AdaptedModel:
    """A toy model with an adapter of a form that acts from the first step on."""
    bundle = toy_bundle(tie_word_embeddings=False, attention_bias=True)
    options = {"r": 4, **FORMS[form]}
    part: Any = Registry().load("injector", injector)
    model: AdaptedModel = part.from_mapping(options, where="injector").inject(bundle)
    model.reset(seed=0)
    generator = torch.Generator().manual_seed(0)
    for name, parameter in sorted(model.trainable().items()):
        if name.endswith(".lora_B.weight"):
            parameter.data.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return model


def main(output: Path, engine: str) -> None:
    """Train every form under every injector; one cuts batches in segments, the other pads them."""
    torch.set_num_threads(1)
    for form in ENGINES[engine]:
        for injector, layout in zip(INJECTORS, ("segments", "padded"), strict=True):
            trace = worker.train(start(form, injector), Case(engine, injector, layout, 60))
            if os.environ.get("RANK", "0") == "0":
                worker.save(trace, output / f"{form}-{injector}.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
