"""`lorafw generate` answers one prompt, or every row of a file, as the library does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.cli.adapters import assert_one_line
from tests.cli.asked import Models, lorafw, make_models, told

import lorafw as library
from lorafw.inference.generation.sampling import Sampling
from lorafw.types import Message

SHORT = ("--max-new-tokens", "6")
ROWS: list[dict[str, Any]] = [
    {"question": "the cat", "answer": "sat"},
    {"messages": [{"role": "user", "content": "seven small birds"}], "id": 3},
    {"instruction": "fly", "input": "over the barn", "output": "the bird"},
    {"text": "an old red barn"},
    *({"prompt": f"the cat {'and a bird ' * n}"} for n in range(6)),
]
ASKED: list[Any] = [
    "the cat",
    "seven small birds",
    "fly\n\nover the barn",
    "an old red barn",
    *(row["prompt"] for row in ROWS[4:]),
]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return make_models(tmp_path_factory.mktemp("models"))


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_one_prompt(models: Models) -> None:
    model = library.load(models.adapter)
    for flag, on in (("--adapter", True), ("--no-adapter", False)):
        said = told("generate", models.adapter, "--prompt", "the cat", flag, *SHORT)
        assert said == model.generate("the cat", max_new_tokens=6, adapter=on) + "\n"


def test_a_prompt_from_stdin_and_what_is_told_before_it(models: Models) -> None:
    said = told(
        "generate", models.base, "--prompt", "-", "--system", "fly", *SHORT, stdin="the cat\n"
    )
    turns = [Message("system", "fly"), Message("user", "the cat")]
    assert said == library.load(models.base).generate(turns, max_new_tokens=6) + "\n"


def test_every_flag_of_sampling_reaches_the_model(models: Models) -> None:
    wishes = {"max_new_tokens": 9, "temperature": 3.0, "top_p": 0.9, "top_k": 40, "seed": 3}
    wishes |= {"repetition_penalty": 1.3}
    flags = [w for k, v in wishes.items() for w in (f"--{k.replace('_', '-')}", str(v))]
    said = told(
        "generate", models.base, "--prompt", "the cat", *flags, "--stop", "a", "--stop", "z"
    )
    model = library.load(models.base)
    wanted: Any = {**wishes, "stop": ("a", "z")}
    assert said == model.generate("the cat", **wanted) + "\n"
    assert said != told("generate", models.base, "--prompt", "the cat", *flags[:2])


def test_the_defaults_are_those_of_the_library() -> None:
    text = " ".join(told("generate", "--help").split())
    usual = Sampling()
    for name in ("max_new_tokens", "temperature", "top_p", "top_k", "repetition_penalty", "seed"):
        flag = f"--{name.replace('_', '-')} "
        assert f"[default: {getattr(usual, name)};" in text[text.index(flag) :].split(" --")[0]


def test_rows_are_answered_as_one_by_one(models: Models, rows: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    flags = ("--input", rows, "--output", out, "--batch-tokens", "100", *SHORT)
    assert told("generate", models.adapter, *flags) == ""
    model = library.load(models.adapter)
    found = lines(out)
    assert [row["answer"] for row in found] == [
        model.generate(text, max_new_tokens=6) for text in ASKED
    ]
    assert found[0] == {
        "question": "the cat",
        "given_answer": "sat",
        "answer": found[0]["answer"],
        "finish_reason": found[0]["finish_reason"],
        "prompt_tokens": len(model.encode("the cat").input_ids),
        "completion_tokens": found[0]["completion_tokens"],
    }
    assert all(0 < row["completion_tokens"] <= 6 for row in found)
    assert {row["completion_tokens"] for row in found if row["finish_reason"] == "length"} == {6}


def test_merged_rows_go_to_stdout(models: Models, rows: Path) -> None:
    said = told("generate", models.adapter, "--merge", "--input", rows, *SHORT)
    plain = told("generate", models.adapter, "--input", rows, *SHORT)
    assert [json.loads(line) for line in said.splitlines()] == [
        json.loads(line) for line in plain.splitlines()
    ]


@pytest.mark.parametrize("merge", [[], ["--merge"]], ids=str)
def test_resuming_gives_the_same_file(
    models: Models, rows: Path, tmp_path: Path, merge: list[str]
) -> None:
    out = tmp_path / "out.jsonl"
    flags = ("--input", rows, "--output", out, "--batch-tokens", "10", *SHORT, *merge)
    told("generate", models.adapter, *flags)
    whole = out.read_bytes()
    ends = [at + 1 for at, byte in enumerate(whole) if byte == ord("\n")]
    for end in [ends[3] + 7] if merge else [5, ends[3], len(whole)]:
        out.write_bytes(whole[:end])
        told("generate", models.adapter, *flags, "--resume")
        assert out.read_bytes() == whole


def test_other_answers_are_not_continued(models: Models, rows: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    flags = ("--input", rows, "--output", out)
    told("generate", models.adapter, *flags, *SHORT)
    before = out.read_bytes()
    again = lorafw("generate", "nowhere", *flags)
    assert_one_line(again, 2, f"{out}: exists already", "--resume")
    resume = (*flags, "--resume")
    other = lorafw("generate", "nowhere", *resume, "--seed", "3", *SHORT)
    assert_one_line(other, 2, "asking.seed was 0, it is 3 now")
    other = lorafw("generate", models.other, *resume, *SHORT)
    assert_one_line(other, 2, "model.adapter was")
    rows.write_text(json.dumps(ROWS[0]))
    assert_one_line(lorafw("generate", "nowhere", *resume, *SHORT), 2, "input was sha256:")
    assert out.read_bytes() == before


BAD = [{"prompt": "the cat"}, {"quest": "?"}, {"prompt": "a " * 200}, {"prompt": ""}]


def test_rows_that_cannot_be_asked(models: Models, tmp_path: Path) -> None:
    rows = tmp_path / "bad.jsonl"
    rows.write_text("\n".join(map(json.dumps, BAD)) + "\n{")
    result = lorafw("generate", models.base, "--input", rows)
    assert_one_line(result, 1, f"{rows}:2: the row asks nothing", "3 more rows", "--skip-bad")
    result = lorafw("generate", models.base, "--input", rows, "--skip-bad", *SHORT)
    assert (result.exit_code, "4 of 5 rows" in result.stderr) == (0, True)
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert found[0]["answer"] == library.load(models.base).generate("the cat", max_new_tokens=6)
    assert [row.get("error", "").partition(": ")[2][:18] for row in found] == [
        "",
        "the row asks nothi",
        "the prompt has 203",
        "the prompt is empt",
        "is not valid JSON:",
    ]


def test_fields_may_be_named(models: Models, tmp_path: Path) -> None:
    rows, out = tmp_path / "rows.jsonl", tmp_path / "results-0-0-x.json"
    rows.write_text(json.dumps({"q": "the cat", "gold": "sat", "prompt": "a bird"}))
    named = ("--prompt-field", "q", "--answer-field", "gold")
    told(
        "generate", models.base, "--input", rows, *named, *SHORT, "--format", "trace",
        "--output", out,
    )  # fmt: skip
    answer = library.load(models.base).generate("the cat", max_new_tokens=6)
    assert json.loads(out.read_text()) == {
        "prompts": ["the cat"],
        "results": [answer],
        "labels": ["sat"],
    }


def test_a_classifier_tells_its_classes(models: Models, tmp_path: Path) -> None:
    model = library.load(models.classifier)
    (single,) = model.classify(["the cat"])
    (pair,) = model.classify([("the cat", "a bird")])
    said = told("generate", models.classifier, "--prompt", "the cat")
    ranked = sorted(single, key=lambda name: -single[name])
    assert said.split() == [w for name in ranked for w in (name, f"{single[name]:.4f}")]
    assert told("generate", models.classifier, "--prompt", "the cat", "--pair", "a bird") != said
    rows = tmp_path / "rows.jsonl"
    texts = [{"text": "the cat", "label": "x"}, {"sentence1": "the cat", "sentence2": "a bird"}]
    rows.write_text("\n".join(map(json.dumps, texts)))
    first, second = map(
        json.loads, told("generate", models.classifier, "--input", rows).splitlines()
    )
    assert first["probabilities"] == pytest.approx(single, abs=1e-6)
    assert second["probabilities"] == pytest.approx(pair, abs=1e-6)
    assert (first["label"], first["given_label"]) == (ranked[0], "x")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ([], "either --prompt TEXT or --input FILE"),
        (["--prompt", "x", "--input", "y"], "either --prompt TEXT or --input FILE"),
        (["--prompt", ""], "the prompt is empty"),
        (["--prompt", "x", "--output", "y"], "--output: goes with --input"),
        (["--prompt", "x", "--resume"], "--resume: goes with --input"),
        (["--prompt", "x", "--merge", "--no-adapter"], "--merge leaves no base"),
        (["--input", "rows.jsonl", "--pair", "x"], "--pair: goes with --prompt"),
        (["--input", "rows.jsonl", "--resume"], "--output"),
        (["--input", "rows.jsonl", "--format", "trace"], "--output"),
        (["--input", "gone.jsonl"], "gone.jsonl: there is no such file"),
        (["--input", "."], "is a folder"),
        (["--input", "rows.doc"], ".txt"),
        (["--input", "rows.jsonl", "--output", "gone/x"], "gone: there is no such folder"),
        (["--prompt", "-"], "stdin: the prompt is empty"),
    ],
)
def test_wrong_wishes_are_one_line_before_anything_is_loaded(
    flags: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.jsonl").touch()
    Path("rows.doc").touch()
    assert_one_line(lorafw("generate", "nowhere", *flags, stdin=" \n"), 2, words)


@pytest.mark.parametrize(
    ("path", "flags", "code", "words"),
    [
        ("nowhere", [], 1, "nowhere: there is no such folder"),
        ("base", ["--base", "x"], 2, "is a whole model"),
        ("base", ["--pair", "x"], 2, "takes no pairs"),
        ("single", ["--system", "x"], 2, "takes single prompts"),
        ("base", ["-o", "pth=x"], 2, "unknown option"),
        ("base", ["--device", "tpu9"], 2, "there is no device"),
        ("adapter", ["--base", "stranger"], 1, "--any-base"),
    ],
)
def test_what_the_model_does_not_take(
    models: Models, path: str, flags: list[str], code: int, words: str
) -> None:
    places = {name: str(place) for name, place in models._asdict().items()}
    flags = [places.get(word, word) for word in flags]
    result = lorafw("generate", places.get(path, path), "--prompt", "the cat", *flags)
    assert_one_line(result, code, words)


@pytest.mark.parametrize("flags", [["--temperature", "-1"], ["--seed", "-1"], ["--top-p", "0"]])
def test_flags_out_of_range(flags: list[str]) -> None:
    assert lorafw("generate", "x", "--prompt", "x", *flags).exit_code == 2
