from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard as HubCard

from lorafw.builtin.auto import Auto
from lorafw.builtin.model_card import ModelCard
from lorafw.contracts import ExportRequest
from lorafw.errors import ExportError
from lorafw.testing.component import ComponentContract
from lorafw.testing.toy_injector import ToyInjector
from lorafw.testing.toys import toy_bundle
from lorafw.testing.values import as_if_trained


class TestModelCard(ComponentContract, kind="exporter"):
    @pytest.fixture
    def exporter(self) -> ModelCard:
        return ModelCard()


EVENTS = [
    {"event": "fit_start", "rows": 64},
    {"event": "evaluation_end", "step": 0, "figures": {"loss": 4.98951, "targets": 255.0}},
    {"event": "step_end", "step": 1, "tokens": 1000},
    {"event": "step_end", "step": 2, "tokens": 1200},
    {"event": "step_end", "step": 2, "tokens": 1200},
    {"event": "evaluation_end", "step": 2, "figures": {"loss": 4.1, "targets": 255.0}},
]
CONFIG = {
    "run": {"name": "pirate"},
    "dataset": {"use": "hf", "path": "openai/gsm8k"},
    "plan": {"global_batch_size": 4, "learning_rate": 0.0002},
}


def asked(path: str = "org/base-1b") -> ExportRequest:
    model = ToyInjector(r=4, alpha=8.0).inject(toy_bundle())
    as_if_trained(model)
    recipe = {"model": {"use": "auto", "path": path}, "encoder": {"use": "alpaca"}, "seed": 3}
    return ExportRequest(model, Auto(path=path), recipe)


def run_folder(folder: Path) -> Path:
    (folder / "run.yaml").write_text(yaml.safe_dump(CONFIG))
    (folder / "events.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in EVENTS))
    (folder / "model-card").mkdir()
    return folder / "model-card"


def test_the_card_of_a_run_tells_what_was_trained_and_how_well(tmp_path: Path) -> None:
    exporter = ModelCard(license="mit", language=("en",))
    (file,) = exporter.export(asked(), run_folder(tmp_path))
    card = HubCard.load(file)
    assert card.data.to_dict() == {
        "base_model": "org/base-1b",
        "datasets": ["openai/gsm8k"],
        "language": ["en"],
        "library_name": "peft",
        "license": "mit",
        "pipeline_tag": "text-generation",
        "tags": ["lorafw", "lora"],
    }
    for line in (
        "# pirate",
        "An adapter (LoRA) of `org/base-1b`, trained with [lorafw](https://pypi.org/project/lorafw/).",
        'model = PeftModel.from_pretrained(model, "path/of/this/folder")',
        "| rank, alpha | 4, 8 |",
        "| template | `alpaca` |",
        "| data | openai/gsm8k |",
        "| rows | 64 |",
        "| steps | 2 |",
        "| tokens | 2,200 |",
        "| loss | 4.99 | 4.1 |",
        'model = lorafw.load("path/of/this/folder")',
    ):
        assert line in card.content.splitlines(), line


def test_the_card_names_no_path_of_this_machine(tmp_path: Path) -> None:
    base = tmp_path / "secret-place" / "base-1b"
    base.mkdir(parents=True)
    (file,) = ModelCard(what="merged").export(asked(str(base)), run_folder(tmp_path))
    card = HubCard.load(file)
    assert "secret-place" not in card.content
    assert "`base-1b`" in card.text
    assert "base_model" not in card.data.to_dict()
    assert card.data.library_name == "transformers"


def test_outside_of_a_run_it_says_what_the_adapter_says(tmp_path: Path) -> None:
    texts = []
    for name in ("first", "second"):
        (folder := tmp_path / name).mkdir()
        (file,) = ModelCard().export(asked(), folder)
        texts.append(file.read_text())
    assert texts[0] == texts[1]
    assert "Evaluation" not in texts[0]
    assert "| steps |" not in texts[0]


def test_an_adapter_of_no_numbers_gets_no_card(tmp_path: Path) -> None:
    request = asked()
    values = {n: t.clone().fill_(float("nan")) for n, t in request.model.state().tensors.items()}
    request.model.load_state(values)
    with pytest.raises(ExportError, match="NaN or infinity"):
        ModelCard().export(request, tmp_path)
