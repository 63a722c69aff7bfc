"""Trained rows of a vocabulary beside LoRA: the plain reference, and one rank of a comparison.

Usage: python -m tests.equivalence.token_rows OUTPUT ENGINE…
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import torch
from tests.equivalence import reference, worker
from tests.equivalence.cases import Case
from torch import Tensor, nn

from lorafw.assembly.registry import Registry
from lorafw.contracts import AdaptedModel
from lorafw.models.transformers_bundle import TransformersBundle
from lorafw.testing.toys import toy_llama, toy_tokenizer
from lorafw.types import token_rows_name

EMBEDDING, HEAD = "model.embed_tokens", "lm_head"
IDS = (40, 5, 63)
_CUTS = ((True, "segments", 60), (False, "padded", 10_000))


def cases(engine: str) -> dict[str, tuple[bool, Case]]:
    """Tied and untied weights, either layout, by name."""
    made = [(tied, Case(engine, "custom", layout, budget)) for tied, layout, budget in _CUTS]
    return {case.name: (tied, case) for tied, case in made}


def rows_of(*, tied: bool) -> dict[str, tuple[int, ...]]:
    """Which rows are trained."""
    return {EMBEDDING: IDS} if tied else {EMBEDDING: IDS, HEAD: IDS}


def expected(*, tied: bool) -> reference.Trace:
    """LoRA by hooks, and whole weight tables made anew from frozen rows and trained ones."""
    model, parameters = reference.adapted_toy(tie_word_embeddings=tied)
    frozen = {name: model.get_parameter(f"{name}.weight") for name in rows_of(tied=tied)}
    rows = {name: nn.Parameter(table[list(IDS)].clone()) for name, table in frozen.items()}

    def forward(**inputs: Tensor) -> Any:
        made = {n: table.index_copy(0, torch.tensor(IDS), rows[n]) for n, table in frozen.items()}
        tables = {f"{name}.weight": table for name, table in made.items()}
        tables.setdefault(f"{HEAD}.weight", made[EMBEDDING])
        return torch.func.functional_call(model, tables, kwargs=inputs, tie_weights=False)

    named = {token_rows_name(name): parameter for name, parameter in rows.items()}
    return reference.follow(forward, parameters | named)


def adapted(*, tied: bool) -> AdaptedModel:
    """The same through lorafw."""
    model = toy_llama(tie_word_embeddings=tied)
    rows = rows_of(tied=tied)
    bundle = TransformersBundle(model, toy_tokenizer(), base="toy", token_rows=rows)
    injector: Any = Registry().load("injector", "custom")
    found: AdaptedModel = injector(r=reference.RANK).inject(bundle)
    lora = {n: p for n, p in found.trainable().items() if ".lora_" in n}
    found.load_state({**found.base_values(), **reference.start_values(lora)})
    return found


def main(output: Path, *engines: str) -> None:
    """Train every case of some engines, one after another, in this process."""
    every = [item for engine in engines for item in cases(engine).items()]
    for name, (tied, case) in every:
        trace = worker.train(adapted(tied=tied), case)
        if os.environ.get("RANK", "0") == "0":
            worker.save(trace, output / f"{name}.safetensors")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), *sys.argv[2:])
