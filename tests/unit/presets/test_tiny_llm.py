"""The preset's way from ChatGLM3's tokenizer file to a row."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
from click.testing import CliRunner

from lorafw.cli.main import main
from lorafw.presets.catalog import preset_text

TEXT = ["今天天气很好，我们去公园散步吧。", "Who are you? I am a small model."] * 30
ROW = {"question": "今天去散步吧？", "answer": "我们去公园。"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the preset's head speaks of: rows, a Qwen2 folder, and a published tokenizer."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sft.jsonl").write_text(json.dumps(ROW) + "\n")
    (tmp_path / "tiny_llm_16m").mkdir()
    (tmp_path / "tiny_llm_16m" / "config.json").write_text('{"model_type": "qwen2"}')
    published = tmp_path / "chatglm3-6b"
    published.mkdir()
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXT),
        model_writer=model,
        model_type="bpe",
        vocab_size=330,
        byte_fallback=True,
        remove_extra_whitespaces=False,
        split_digits=True,
        normalization_rule_name="identity",
        num_threads=1,
        minloglevel=2,
    )
    (published / "tokenizer.model").write_bytes(model.getvalue())
    config = {"tokenizer_class": "ChatGLMTokenizer", "name_or_path": "THUDM/chatglm3-6b"}
    (published / "tokenizer_config.json").write_text(json.dumps(config))
    return tmp_path


def test_the_head_leads_to_a_row(folder: Path) -> None:
    head = preset_text("tiny-llm")
    (code,) = re.findall(r"python - <<END\n(.*?)#   END", head, re.DOTALL)
    exec(re.sub(r"(?m)^# +", "", code), {})
    (call,) = re.findall(r"lorafw run (.*?)\n#\n", head, re.DOTALL)
    arguments = [word for word in re.split(r"[\s#\\]+", call) if word]
    flags = ["-o", "dataset.eval_fraction=0", "--json"]
    found = CliRunner().invoke(main, ["data", "preview", *arguments, *flags])
    assert found.exit_code == 0, found.stderr
    tokens: list[dict[str, Any]] = json.loads(found.stdout)["row"]["tokens"]
    assert [token["text"] for token in tokens[:2]] == ["[gMASK]", "sop"]
    text = "".join(token["text"] for token in tokens)
    assert re.search(r"<\|user\|>\s*今天去散步吧？\s*<\|assistant\|>\s*我们去公园。</s>$", text)
    trained = "".join(token["text"] for token in tokens if token["trained"])
    assert trained.strip() == "我们去公园。</s>"
    assert folder.exists()
