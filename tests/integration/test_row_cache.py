"""Rows that were kept train the same adapter as rows that were just encoded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

import lorafw
from lorafw.data.cache.catalogue import kept
from lorafw.testing.toys import WORDS, toy_folder


def test_kept_rows_train_the_same_adapter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, rows = tmp_path / "cache", tmp_path / "rows.jsonl"
    monkeypatch.setenv("LORAFW_CACHE", str(place))
    lines = [{"prompt": WORDS[at % 17], "response": WORDS[at % 5]} for at in range(40)]
    rows.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    base = toy_folder(tmp_path / "base")

    def run(name: str, *, cache: bool) -> tuple[Path, str]:
        config: dict[str, Any] = {
            "run": {"output": tmp_path / name, "cache": cache},
            "dataset": {"use": "jsonl", "path": rows, "eval_fraction": 0.2},
            "model": {"use": "llama", "path": str(base)},
            "injector": "custom",
            "trainer": "ddp",
            "plan": {"max_steps": 3, "learning_rate": 1e-2},
        }
        result = lorafw.run(config)
        assert result.adapter is not None
        return result.adapter, result.record["fingerprint"]["data"]

    without, digest = run("without", cache=False)
    assert kept(place) == []
    made, same_digest = run("made", cache=True)
    assert len(kept(place)) == 2
    # What is found is never encoded.
    monkeypatch.setattr("lorafw.data.cache.rows.encode_all", lambda *_: pytest.fail("encoded"))
    found, found_digest = run("found", cache=True)
    assert digest == same_digest == found_digest
    tensors = [load_file(each / "adapter_model.safetensors") for each in (without, made, found)]
    for other in tensors[1:]:
        assert all(bool((other[name] == tensor).all()) for name, tensor in tensors[0].items())


def test_a_run_says_which_rows_the_data_set_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LORAFW_CACHE", str(tmp_path / "cache"))
    lines = [json.dumps({"prompt": word, "response": word}) for word in WORDS[:12]]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "held-out.jsonl").write_text("\n".join(lines[:3]), encoding="utf-8")
    base = toy_folder(tmp_path / "base")

    def notices(name: str, *, cache: bool) -> list[str]:
        lorafw.run(
            {
                "run": {"output": tmp_path / name, "cache": cache},
                "dataset": {
                    "use": "jsonl",
                    "path": tmp_path / "rows.jsonl",
                    "eval_path": tmp_path / "held-out.jsonl",
                },
                "model": {"use": "llama", "path": str(base)},
                "injector": "custom",
                "trainer": "ddp",
                "plan": {"max_steps": 1},
            }
        )
        events = (tmp_path / name / "events.jsonl").read_text(encoding="utf-8").splitlines()
        told = [json.loads(line) for line in events]
        return [each["message"] for each in told if each["event"] == "notice"]

    found = [notices("made", cache=True), notices("kept", cache=True), notices("not", cache=False)]
    assert all("3 rows were left out of training" in " ".join(told) for told in found)
