"""Tokens added to a base: trained, saved with the adapter, and usable without lorafw."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import lorafw
from lorafw.builtin.causal_lm import CausalLM
from lorafw.testing.toys import WORDS, toy_folder

TOKENS = ["<|note|>", "quux"]
TEXT = "the cat<|note|>quux sat quux"
TIED = pytest.mark.parametrize("tied", [False, True])


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Answers that begin with one added token and end with the other."""
    path = tmp_path_factory.mktemp("rows") / "train.jsonl"
    pairs = [(WORDS[i % 17], WORDS[(i * 7 + 3) % 17]) for i in range(40)]
    lines = [{"prompt": ask, "response": f"<|note|> {answer} quux"} for ask, answer in pairs]
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return path


def config(base: Path, rows: Path, output: Path, **plan: Any) -> dict[str, Any]:
    return {
        "run": {"output": str(output)},
        "dataset": {"use": "jsonl", "path": str(rows), "eval_fraction": 0.2},
        "model": {"use": "llama", "path": str(base), "add_tokens": TOKENS},
        "injector": {"use": "custom", "r": 4},
        "trainer": {"use": "ddp"},
        "plan": {"max_steps": 12, "epochs": 9, "learning_rate": 2e-2, "warmup_ratio": 0.0, **plan},
        "exporters": ["adapter", "merged"],
        "listeners": [],
    }


def base_of(folder: Path, *, tied: bool) -> Path:
    """One row to spare: the first added token finds a row, the second needs a new one."""
    return toy_folder(folder / "base", vocab_size=30, tie_word_embeddings=tied)


def plain_logits(model: Any, ids: list[int]) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(input_ids=torch.tensor([ids])).logits[0]
    return found


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
@TIED
def test_adapter_and_merged_model_work_without_lorafw(
    tied: bool, rows: Path, tmp_path: Path
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base = base_of(tmp_path, tied=tied)
    done = lorafw.run(config(base, rows, tmp_path / "run"))
    assert done.evaluation["loss"] < done.evaluation_before["loss"] - 0.5
    assert done.adapter is not None
    tokenizer = AutoTokenizer.from_pretrained(done.adapter)
    ids = tokenizer.encode(TEXT)
    assert {29, 30} < set(ids)
    ours = lorafw.load(done.adapter).logits(ids)

    grown: Any = AutoModelForCausalLM.from_pretrained(base)
    grown.resize_token_embeddings(len(tokenizer))
    theirs = plain_logits(PeftModel.from_pretrained(grown, done.adapter), ids)
    torch.testing.assert_close(theirs, ours, rtol=0, atol=1e-5)

    merged = AutoModelForCausalLM.from_pretrained(done.exports["merged"])
    torch.testing.assert_close(plain_logits(merged, ids), ours, rtol=0, atol=1e-5)
    assert AutoTokenizer.from_pretrained(done.exports["merged"]).encode(TEXT) == ids
    again = lorafw.load(done.exports["merged"])
    torch.testing.assert_close(again.logits(ids), ours, rtol=0, atol=1e-5)


def test_an_adapter_finds_its_base_wherever_that_is_now(rows: Path, tmp_path: Path) -> None:
    base = base_of(tmp_path, tied=True)
    done = lorafw.run(config(base, rows, tmp_path / "run", max_steps=2))
    before = lorafw.load(done.folder).logits([5, 29, 30])
    moved = base.rename(tmp_path / "elsewhere")
    assert done.adapter is not None
    assert torch.equal(lorafw.load(done.adapter, base=moved).logits([5, 29, 30]), before)


def test_the_model_learns_to_say_them(rows: Path, tmp_path: Path) -> None:
    """At first no likelier than a mean row; after training the likeliest where they belong."""
    base = base_of(tmp_path, tied=True)
    done = lorafw.run(config(base, rows, tmp_path / "run", max_steps=40))
    model = lorafw.load(done.folder)
    prompt = list(model.encode("cat").input_ids)
    chances = [model.logits(prompt, adapter=on)[-1].log_softmax(-1)[29] for on in (False, True)]
    assert float(chances[0]) < math.log(0.1)
    assert float(chances[1]) > math.log(0.5)
    assert "quux" in model.generate("cat", max_new_tokens=4)


def test_a_run_that_stopped_goes_on_as_if_it_had_not(
    rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = base_of(tmp_path, tied=False)
    plan = {"max_steps": 6, "checkpoint_every": 2, "global_batch_size": 4}
    whole = lorafw.run(config(base, rows, tmp_path / "whole", **plan))
    broken = config(base, rows, tmp_path / "broken", **plan)
    calls, loss = [0], CausalLM.loss

    def failing(*arguments: Any) -> Any:
        calls[0] += 1
        if calls[0] > 5:
            raise KeyboardInterrupt
        return loss(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(CausalLM, "loss", failing)
        with pytest.raises(KeyboardInterrupt):
            lorafw.run(broken)
    assert list((tmp_path / "broken" / "checkpoints").iterdir())
    resumed = lorafw.run(broken, resume=True)
    left, right = (
        load_file(run.folder / "adapter" / "adapter_model.safetensors") for run in (whole, resumed)
    )
    assert any("trainable_tokens" in name for name in left)
    assert all(torch.equal(left[name], right[name]) for name in left)
