"""A trained adapter answers the same by every way of asking: ours, PEFT's and transformers'."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

import lorafw
from lorafw.cli.main import main
from lorafw.inference.generation.sampling import Sampling
from lorafw.inference.loaded import TUNED

PROMPTS = 50
NEW_TOKENS = 16
NEAR = 1e-4
"""Where the two best logits lie nearer than this, rounding may choose either."""

FORMS: dict[str, dict[str, Any]] = {
    "custom": {"use": "custom", "r": 8},
    "peft": {"use": "peft", "r": 8},
    "custom-dora": {"use": "custom", "r": 4, "use_dora": True},
    "custom-pissa": {"use": "custom", "r": 4, "init": "pissa"},
}


class Trained(NamedTuple):
    """What one run made, what it is asked, and its greedy answers one by one, with margins."""

    folder: Path
    base: Path
    questions: list[str]
    prompts: list[list[int]]
    answers: list[tuple[list[int], Tensor]]


@pytest.fixture(scope="module", params=FORMS)
def trained(
    request: pytest.FixtureRequest, shared: Path, tmp_path_factory: pytest.TempPathFactory
) -> Trained:
    """A real pretrained Llama, adapted to grade-school sums for a few steps."""
    folder = tmp_path_factory.mktemp("answers")
    rows = (shared / "data/gsm8k/train.jsonl").read_text(encoding="utf-8").splitlines()
    (folder / "train.jsonl").write_text("\n".join(rows[:120]), encoding="utf-8")
    base = shared / "models/stories260k-llama"
    lorafw.run(
        {
            "run": {"output": str(folder / "run"), "seed": 3},
            "dataset": {"use": "jsonl", "path": str(folder / "train.jsonl")},
            "model": {"use": "llama", "path": str(base)},
            "encoder": {"use": "gsm8k"},
            "injector": FORMS[request.param],
            "trainer": "ddp",
            "plan": {"max_steps": 6, "learning_rate": 5e-3, "warmup_ratio": 0.0},
            "exporters": ["adapter", "merged"],
            "listeners": [],
        }
    )
    model = lorafw.load(folder / "run")
    asked = (json.loads(row)["question"] for row in rows[200 : 200 + PROMPTS])
    questions = [" ".join(question[:120].split()) for question in asked]
    ids = [list(model.encode(question).input_ids) for question in questions]
    answers = [_greedy(model, each) for each in ids]
    return Trained(folder / "run", base, questions, ids, answers)


def test_fifty_prompts_are_answered_alike(trained: Trained) -> None:
    ours = lorafw.load(trained.folder)
    peft, merged = _plain_peft(trained), _plain_transformers(trained.folder / "merged")
    for ids, (answer, margins) in zip(trained.prompts, trained.answers, strict=True):
        for other in (peft, merged):
            theirs = _generated(other, ids, ours.stop_ids)
            place = _parting(answer, theirs)
            assert place is None or margins[place] < NEAR, (ids, place, margins)
    assert len(trained.prompts) == PROMPTS


def test_batched_answers_are_those_of_one_by_one(trained: Trained) -> None:
    model = lorafw.load(trained.folder)
    sampling = Sampling(max_new_tokens=NEW_TOKENS)
    answers = [model.begin(question, sampling, TUNED) for question in trained.questions]
    list(model.grow(answers, batch_tokens=4000))
    for batched, ids, (answer, margins) in zip(
        answers, trained.prompts, trained.answers, strict=True
    ):
        place = _parting(answer, batched.ids)
        assert list(batched.prompt) == ids
        assert place is None or margins[place] < NEAR, (ids, place, margins)


@pytest.mark.parametrize("trained", ["custom"], indirect=True)
def test_the_commands_answer_alike(trained: Trained, tmp_path: Path) -> None:
    model = lorafw.load(trained.folder)
    texts = [_text(model, answer) for answer, _ in trained.answers]
    file = tmp_path / "questions.jsonl"
    file.write_text("".join(json.dumps({"question": q}) + "\n" for q in trained.questions))
    for flags in (["--batch-tokens", "4000"], ["--merge"]):
        rows = _told("generate", trained.folder, "--input", file, *flags).splitlines()
        for row, (answer, margins) in zip(map(json.loads, rows), trained.answers, strict=True):
            certain = _until_near_tie(answer, margins)
            assert row["answer"].startswith(_text(model, certain))
            assert len(certain) < len(answer) or row["answer"] == _text(model, answer)
    said = _told("chat", trained.folder, stdin="\n".join(trained.questions))
    assert said == "".join(f"{text}\n" for text in texts)


def test_the_adapter_shows_in_the_answers(trained: Trained) -> None:
    model = lorafw.load(trained.folder)
    for ids in trained.prompts[:3]:
        answers = [
            model.continue_ids(ids, max_new_tokens=NEW_TOKENS, adapter=adapter)
            for adapter in (True, False)
        ]
        assert answers[0] != answers[1]


def _greedy(model: Any, ids: list[int]) -> tuple[list[int], Tensor]:
    """Greedy tokens, and by how much the best logit led each time."""
    answer = model.continue_ids(ids, max_new_tokens=NEW_TOKENS)
    logits = model.logits([*ids, *answer])[len(ids) - 1 : -1]
    best = logits.topk(2).values
    return answer, best[:, 0] - best[:, 1]


def _told(*words: object, stdin: str | None = None) -> str:
    """What a command prints; every answer is of `NEW_TOKENS` at most."""
    called = [*map(str, words), "--max-new-tokens", str(NEW_TOKENS)]
    result = CliRunner().invoke(main, called, input=stdin)
    assert result.exit_code == 0, result.output
    return result.stdout


def _text(model: Any, ids: list[int]) -> str:
    return str(model.bundle.tokenizer.decode(ids, skip_special_tokens=True))


def _until_near_tie(answer: list[int], margins: Tensor) -> list[int]:
    """The tokens before the first that rounding may have chosen."""
    ties = (margins < NEAR).nonzero().flatten().tolist()
    return answer[: ties[0]] if ties else answer


def _generated(model: Any, ids: list[int], stops: tuple[int, ...]) -> list[int]:
    tokens = torch.tensor([ids])
    output = model.generate(
        input_ids=tokens,
        attention_mask=torch.ones_like(tokens),
        max_new_tokens=NEW_TOKENS,
        do_sample=False,
        eos_token_id=list(stops),
        pad_token_id=0,
    )
    found: list[int] = output[0, len(ids) :].tolist()
    return found


def _parting(ours: list[int], theirs: list[int]) -> int | None:
    """Where two answers part, if they do; an answer that ends earlier parts at its last token."""
    for place, (a, b) in enumerate(zip(ours, theirs, strict=False)):
        if a != b:
            return place
    return None if len(ours) == len(theirs) else min(len(ours), len(theirs)) - 1


def _plain_transformers(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder).eval()


def _plain_peft(trained: Trained) -> Any:
    from peft import PeftModel

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        base = _plain_transformers(trained.base)
        return PeftModel.from_pretrained(base, trained.folder / "adapter").eval()
