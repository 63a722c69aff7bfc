"""What the page for those who come from other projects tells them to run, run on tiny models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.cli.asked import trained_adapter
from tests.docs.commands import commands, run
from tests.docs.pages import DOCS, marked_block
from torch import Tensor

import lorafw
from lorafw.testing.toys import toy_llama, toy_tokenizer
from lorafw.types import Message, PromptExample

PAGE = DOCS / "how-to" / "coming-from.md"
TASKS = {"FOMC": ["the cat sat on", "seven small birds"], "Py150": ["an old red barn"]}


def told_to_run(project: str) -> list[list[str]]:
    return commands(marked_block(PAGE, f"equivalent: {project}"))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the commands are run in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def base(place: Path) -> Path:
    toy_llama(max_position_embeddings=1024).save_pretrained(place / "base")
    toy_tokenizer(chat=True).save_pretrained(place / "base")
    return place / "base"


def value(words: list[str], flag: str) -> str:
    return words[words.index(flag) + 1]


def wishes(words: list[str]) -> dict[str, Any]:
    """The flags of sampling in a call, as the library takes them."""
    kinds = {"max-new-tokens": int, "seed": int, "temperature": float, "top-p": float}
    kinds["repetition-penalty"] = float
    given = {name: kind for name, kind in kinds.items() if f"--{name}" in words}
    return {n.replace("-", "_"): kind(value(words, f"--{n}")) for n, kind in given.items()}


def test_trace(place: Path, base: Path) -> None:
    for number in (0, 1):
        trained_adapter(place / f"lora_single/{number}", base, number, use="prompt", separator="")
    for task, prompts in TASKS.items():
        (place / "TRACE" / task).mkdir(parents=True)
        rows = [{"prompt": prompt, "answer": f"{task} {prompt}"} for prompt in prompts]
        (place / "TRACE" / task / "test.json").write_text(json.dumps(rows))
    results = []
    for words in told_to_run("trace"):
        run(words)
        task = Path(value(words, "--input")).parent.name
        output = Path(value(words, "--output"))
        found = json.loads(output.read_text())
        model = lorafw.load(words[1])
        assert found["prompts"] == TASKS[task]
        assert found["labels"] == [f"{task} {prompt}" for prompt in TASKS[task]]
        assert found["results"] == model.generate_many(TASKS[task], **wishes(words))
        assert output.name.startswith(f"results-{Path(words[1]).name}-")
        assert model.encode("the cat") == model.encode(PromptExample("the cat", "sat"))
        results.append(found["results"])
    assert results[0] != results[1], "both rounds answer alike"


def test_lora_glm(place: Path, base: Path) -> None:
    trained_adapter(place / "runs/glm-instruction", base, 0, use="glm-instruction")
    rows = [
        {"instruction": "fly", "input": "the cat"},
        {"instruction": "fly"},
        {"context": "Instruction: fly\nInput: the cat\nAnswer: ", "target": "a"},
    ]
    (place / "questions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    one, many = told_to_run("lora-glm")
    model = lorafw.load(one[1])
    assert run(one) == model.generate(value(one, "--prompt"), **wishes(one)) + "\n"
    run(many)
    found = [json.loads(line) for line in Path("answers.jsonl").read_text().splitlines()]
    given = [PromptExample("fly", "", "the cat"), PromptExample("fly", "")]
    answers = [model.generate(example, **wishes(many)) for example in given]
    assert [row["answer"] for row in found] == [*answers, answers[0]]
    written = model.bundle.tokenizer.encode(
        "[gMASK] sop Instruction: fly\nInput: the cat\nAnswer: ", add_special_tokens=False
    )
    assert list(model.encode(given[0]).input_ids) == written


def test_lora_ns(place: Path, base: Path) -> None:
    trained_adapter(place / "outputs/gsm8k", base, 0, use="gsm8k")
    (place / "inputs.txt").write_text("the cat\nseven small birds\n")
    one, many, merge, merged = told_to_run("lora-ns")
    model = lorafw.load(one[1])
    answer = run(one)
    assert answer == model.generate(value(one, "--prompt"), **wishes(one)) + "\n"
    run(many)
    found = [json.loads(line) for line in Path(value(many, "--output")).read_text().splitlines()]
    prompts = ["the cat", "seven small birds"]
    assert [row["prompt"] for row in found] == prompts
    assert [row["answer"] for row in found] == model.generate_many(prompts, **wishes(many))
    run(merge)
    assert run(merged) == answer


def upstream_tensors() -> dict[str, Tensor]:
    """A tiny checkpoint under MiniMind's names of early 2025, with upstream's number of heads."""
    chance = torch.Generator().manual_seed(0)
    sizes: dict[str, tuple[int, ...]] = {"tok_embeddings.weight": (64, 64)}
    for layer in ("layers.0.", "layers.1."):
        sizes |= {f"{layer}attention.w{name}.weight": (64, 64) for name in "qo"}
        sizes |= {f"{layer}attention.w{name}.weight": (16, 64) for name in "kv"}
        sizes |= {f"{layer}feed_forward.w{number}.weight": (96, 64) for number in (1, 3)}
        sizes[f"{layer}feed_forward.w2.weight"] = (64, 96)
        sizes |= {f"{layer}{name}_norm.weight": (64,) for name in ("attention", "ffn")}
    sizes["norm.weight"] = (64,)
    tensors = {name: torch.randn(size, generator=chance) * 0.2 for name, size in sizes.items()}
    tensors = {n: 1 + t if n.endswith("norm.weight") else t for n, t in tensors.items()}
    return {**tensors, "output.weight": tensors["tok_embeddings.weight"]}


def test_minimind(place: Path) -> None:
    (place / "out/lora").mkdir(parents=True)
    tensors = upstream_tensors()
    torch.save(tensors, place / "out/full_sft_512.pth")
    chance = torch.Generator().manual_seed(1)
    lora = {
        f"{name.removesuffix('.weight')}.lora.{part}.weight": torch.randn(size, generator=chance)
        / 4
        for name in tensors
        if name.endswith(("wq.weight", "wo.weight"))
        for part, size in (("A", (4, 64)), ("B", (64, 4)))
    }
    torch.save(lora, place / "out/lora/lora_identity_512.pth")
    toy_tokenizer(chat=True).save_pretrained(place / "model/minimind_tokenizer")
    full, tuned, once = told_to_run("minimind")
    options = {"tokenizer_path": "model/minimind_tokenizer"}
    model = lorafw.load("out/full_sft_512.pth", options=options)
    assert run(full, "the cat\n") == model.generate("the cat", **wishes(full)) + "\n"
    both = lorafw.load(tuned[1], base="out/full_sft_512.pth", options=options)
    said = run(tuned, "the cat\n/adapter none\n/reset\nthe cat\n")
    answers = [both.generate("the cat", adapter=on, **wishes(tuned)) for on in (True, False)]
    assert said == f"{answers[0]}\n{answers[1]}\n"
    assert answers[0] != answers[1]
    assert run(once) == both.generate(value(once, "--prompt"), **wishes(once)) + "\n"


def test_tiny_llm(place: Path, base: Path) -> None:
    trained_adapter(place / "outputs/sft_lora", base, 0, use="tiny-llm")
    base.rename(place / "outputs/ptm")
    merged, live = told_to_run("tiny-llm")
    model = lorafw.load("outputs/sft_lora", base="outputs/ptm", adapter_merged=True)
    talk = model.chat(system=value(merged, "--system"), **wishes(merged))
    wanted = "".join(f"{talk.say(line)}\n" for line in ("the cat", "a bird"))
    assert run(merged, "the cat\na bird\n") == wanted
    other = lorafw.load("outputs/sft_lora", base="outputs/ptm")
    # tiny-llm's encoder brings the very system line that the command names.
    turns = [Message("system", value(merged, "--system")), Message("user", "the cat")]
    assert other.encode(turns) == other.encode("the cat")
    said = run(live, "the cat\n/adapter none\n/reset\nthe cat\n")
    answers = [other.generate("the cat", adapter=on) for on in (True, False)]
    assert said == f"{answers[0]}\n{answers[1]}\n"
