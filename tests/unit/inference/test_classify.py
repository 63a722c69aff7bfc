"""Asking a classifier: what a run, PEFT or transformers left in a folder."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

import lorafw
from lorafw.adapters.layout.peft_layout import write_adapter
from lorafw.errors import AdapterError, UsageError
from lorafw.inference.loaded import LoadedModel
from lorafw.testing.toy_classifier import CLASSES, toy_bert, toy_pair_tokenizer
from lorafw.testing.toy_injector import ToyInjector
from lorafw.testing.toys import toy_folder
from lorafw.testing.values import as_if_trained
from lorafw.types import LabeledExample, Task

TEXTS: list[str | tuple[str, str]] = ["seven small birds", ("the cat", "on a mat"), "barn"]


@pytest.fixture
def classifier(tmp_path: Path) -> Path:
    """A finished classifier as transformers stores it."""
    folder = tmp_path / "classifier"
    toy_bert().save_pretrained(folder)
    toy_pair_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def adapter(classifier: Path, tmp_path: Path) -> Path:
    """An adapter of it with a head of its own, as lorafw stores it."""
    from lorafw.inference.loading import load

    bundle = load(classifier).bundle
    model = ToyInjector(r=4).inject(bundle)
    as_if_trained(model)
    folder = tmp_path / "adapter"
    folder.mkdir()
    recipe = {"model": {"use": "auto", "path": str(classifier)}, "labels": ["a", "b", "c"]}
    write_adapter(
        folder,
        model.state(),
        base_path=str(classifier),
        recipe=recipe,
        task=Task.CLASSIFICATION,
    )
    return folder


def test_every_text_gets_the_chances_of_every_class(classifier: Path) -> None:
    model = lorafw.load(classifier)
    found = model.classify(TEXTS * 15)
    assert [list(chances) for chances in found] == [list(CLASSES)] * 45
    assert all(sum(chances.values()) == pytest.approx(1) for chances in found)
    alone = [model.classify([text])[0] for text in TEXTS]
    for index, chances in enumerate(found):
        assert chances == pytest.approx(alone[index % 3], abs=1e-5)


def test_scores_of_ids_are_those_behind_the_chances(classifier: Path) -> None:
    model = lorafw.load(classifier)
    row = model.encoder.prompt(LabeledExample("barn", None, 0), model.bundle.tokenizer)
    chances = model.logits(row.input_ids).softmax(-1)
    assert chances.tolist() == pytest.approx(list(model.classify(["barn"])[0].values()))


def test_an_adapter_brings_its_head_and_names(adapter: Path, classifier: Path) -> None:
    model = lorafw.load(adapter)
    found = model.classify(TEXTS)
    assert list(found[0]) == ["a", "b", "c"]
    bare = [list(chances.values()) for chances in lorafw.load(classifier).classify(TEXTS)]
    without = [list(chances.values()) for chances in model.classify(TEXTS, adapter=False)]
    assert torch.allclose(torch.tensor(without), torch.tensor(bare), atol=1e-6)
    assert not torch.allclose(
        torch.tensor([list(chances.values()) for chances in found]), torch.tensor(bare), atol=1e-2
    )
    folded = lorafw.load(adapter, adapter_merged=True).classify(TEXTS)
    for one, other in zip(folded, found, strict=True):
        assert one == pytest.approx(other, abs=1e-5)


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("LORA", {"r": 4, "init_lora_weights": False}),
        ("LORA", {"init_lora_weights": False, "trainable_token_indices": [5, 9]}),
        ("IA3", {"init_ia3_weights": False}),
    ],
)
def test_an_adapter_of_peft_names_its_classes_by_number(
    classifier: Path, tmp_path: Path, method: str, options: dict[str, Any]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        from peft import get_peft_config, get_peft_model
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        base = AutoModelForSequenceClassification.from_pretrained(classifier)
        config = get_peft_config({"peft_type": method, "task_type": "SEQ_CLS", **options})
        model: Any = get_peft_model(base, config).eval()
        torch.nn.init.normal_(model.base_model.model.classifier.weight)
        model.save_pretrained(tmp_path / "peft")
    row = AutoTokenizer.from_pretrained(classifier)("barn", return_tensors="pt")
    with torch.no_grad():
        theirs = model(**row).logits.softmax(-1)[0]
    found = lorafw.load(tmp_path / "peft").classify(["barn"])[0]
    assert list(found) == ["LABEL_0", "LABEL_1", "LABEL_2"]
    assert list(found.values()) == pytest.approx(theirs.tolist(), abs=1e-5)


def test_what_cannot_be_asked_is_told(classifier: Path, tmp_path: Path) -> None:
    model = lorafw.load(classifier)
    with pytest.raises(UsageError, match="there is an empty text"):
        model.classify(["barn", ""])
    with pytest.raises(UsageError, match="a list of texts, not one text"):
        model.classify("barn")
    with pytest.raises(UsageError, match=r"puts texts into classes: ask with classify\(\)"):
        model.generate("barn")
    writer: LoadedModel = lorafw.load(toy_folder(tmp_path / "llama"))
    with pytest.raises(UsageError, match=r"generates text: ask with generate\(\)"):
        writer.classify(["barn"])


def test_labels_that_are_no_names_are_refused(adapter: Path) -> None:
    recipe = json.loads((adapter / "lorafw.json").read_text())
    (adapter / "lorafw.json").write_text(json.dumps({**recipe, "labels": [1, 2, 3]}))
    with pytest.raises(AdapterError, match=r"lorafw.json: labels: should be a list of names"):
        lorafw.load(adapter)
