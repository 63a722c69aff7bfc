"""Text classifiers of transformers' families: their heads, and what their scores depend on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lorafw.builtin.auto import Auto
from lorafw.builtin.text_pair import TextPair
from lorafw.contracts import ModelBundle, ModelRequest
from lorafw.errors import DataError, ModelError
from lorafw.models.loading import quiet
from lorafw.testing.toy_classifier import toy_bert, toy_pair_tokenizer
from lorafw.testing.toys import toy_tokenizer
from lorafw.types import Capability, Encoded, LabeledExample, Layout, Task

LABELS = ("no", "maybe", "yes")
_BERT = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 128,
    "pad_token_id": 3,
    "initializer_range": 0.2,
}
_DECODER = {**_BERT, "num_key_value_heads": 2, "head_dim": 8}
FAMILIES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "bert": (_BERT, ("classifier",)),
    "roberta": ({**_BERT, "type_vocab_size": 1}, ("classifier",)),
    "albert": ({**_BERT, "embedding_size": 16}, ("classifier",)),
    "distilbert": (
        {"vocab_size": 64, "dim": 32, "hidden_dim": 48, "n_layers": 2, "n_heads": 4}
        | {"max_position_embeddings": 128, "pad_token_id": 3, "initializer_range": 0.2},
        ("pre_classifier", "classifier"),
    ),
    "electra": ({**_BERT, "embedding_size": 32}, ("classifier",)),
    "llama": (_DECODER, ("score",)),
}


def base_folder(folder: Path, family: str, **fields: Any) -> Path:
    """A body without any head, and a tokenizer that marks two texts as the family does."""
    from transformers import AutoConfig, AutoModel

    with quiet(), torch.random.fork_rng():
        torch.manual_seed(0)
        config = AutoConfig.for_model(family, **{**FAMILIES[family][0], **fields})
        AutoModel.from_config(config).save_pretrained(folder)
    tokenizer: Any = toy_tokenizer() if family == "llama" else toy_pair_tokenizer()
    tokenizer.save_pretrained(folder)
    return folder


def build(folder: Path, labels: tuple[str, ...] = LABELS, seed: int = 0, **options: Any) -> Any:
    model = Auto.from_mapping({"path": str(folder), **options}, where="model")
    request = ModelRequest(Task.CLASSIFICATION, torch.device("cpu"), seed, labels)
    return model.build(request, model.tokenizer())


def rows_of(bundle: ModelBundle) -> list[Encoded]:
    texts = [("the cat sat", "on a mat"), ("birds", "fly over an old red barn"), ("seven", None)]
    encoder = TextPair()
    return [encoder.prompt(LabeledExample(*pair, 0), bundle.tokenizer) for pair in texts]


@torch.no_grad()
def scores(bundle: ModelBundle, rows: list[Encoded]) -> Tensor:
    batch = TextPair().collate(rows, Layout.PADDED, bundle.pad_id)
    return bundle.logits(bundle.hidden(batch.inputs).rows)


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    made: dict[str, Path] = {}

    def folder(family: str) -> Path:
        if family not in made:
            made[family] = base_folder(tmp_path_factory.mktemp(family), family)
        return made[family]

    return folder


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_ready_to_learn_classes(
    family: str, folder_of: Callable[..., Path]
) -> None:
    bundle = build(folder_of(family))
    assert (bundle.task, bundle.labels) == (Task.CLASSIFICATION, LABELS)
    assert bundle.head_modules == FAMILIES[family][1]
    assert bundle.lora_targets
    assert not any(name.startswith(bundle.head_modules) for name in bundle.lora_targets)
    assert Capability.SEGMENTS not in bundle.capabilities
    together = scores(bundle, rows_of(bundle))
    assert together.shape == (3, 3)
    alone = torch.cat([scores(bundle, [row]) for row in rows_of(bundle)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", ["bert", "roberta", "albert", "distilbert"])
def test_scores_are_those_of_transformers_own_way(
    family: str, folder_of: Callable[..., Path]
) -> None:
    """Position offsets and the marks of the second text included."""
    bundle = build(folder_of(family))
    tokenizer: Any = bundle.tokenizer
    with torch.no_grad():
        marks = {"return_token_type_ids": family in {"bert", "albert"}}
        row = tokenizer("the cat sat", "on a mat", return_tensors="pt", **marks)
        theirs = bundle.module(**row).logits
    torch.testing.assert_close(scores(bundle, rows_of(bundle)[:1]), theirs, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("family", "longest"), [("bert", 128), ("roberta", 124)])
def test_rows_are_as_long_as_the_table_of_positions(
    family: str, longest: int, folder_of: Callable[..., Path]
) -> None:
    """RoBERTa's positions begin behind the padding token's id, which is 3 here."""
    bundle = build(folder_of(family))
    assert bundle.tokenizer.model_max_length == longest
    assert scores(bundle, [Encoded([5] * longest, [0])]).isfinite().all()
    with pytest.raises((IndexError, RuntimeError)):
        scores(bundle, [Encoded([5] * (longest + 1), [0])])


def test_models_that_compute_positions_have_no_table(folder_of: Callable[..., Path]) -> None:
    assert build(folder_of("llama")).tokenizer.model_max_length > 10**6


def test_a_quantised_body_keeps_its_head_whole(folder_of: Callable[..., Path]) -> None:
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    bundle = build(folder_of("bert"), quantize="nf4")
    assert type(bundle.module.classifier) is torch.nn.Linear
    assert bundle.module.get_submodule(bundle.lora_targets[0]).weight.dtype is torch.uint8


def test_a_fresh_head_follows_from_the_seed_alone(folder_of: Callable[..., Path]) -> None:
    heads = []
    for seed in (1, 2, 1):
        heads.append(build(folder_of("roberta"), seed=seed).module.classifier.state_dict())
        torch.rand(3)  # the global generator moves on, which must not matter
    assert all(torch.equal(heads[2][name], value) for name, value in heads[0].items())
    assert not torch.equal(heads[1]["dense.weight"], heads[0]["dense.weight"])
    assert heads[0]["out_proj.weight"].std() == pytest.approx(0.2, rel=0.3)
    assert not heads[0]["out_proj.bias"].any()


def test_a_body_without_a_pooler_gets_one_that_is_trained(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = base_folder(tmp_path, "bert")
    tensors = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if "pooler" not in name}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    assert build(folder).head_modules == ("bert.pooler", "classifier")


def test_a_finished_classifier_keeps_its_head(tmp_path: Path) -> None:
    model = toy_bert(classes=LABELS)
    model.save_pretrained(tmp_path)
    toy_pair_tokenizer().save_pretrained(tmp_path)
    own = build(tmp_path, labels=())
    assert own.labels == LABELS
    for bundle in (own, build(tmp_path, seed=7)):
        assert torch.equal(bundle.module.classifier.weight, model.classifier.weight)
    other = build(tmp_path, labels=("left", "right"))
    assert other.module.classifier.weight.shape == (2, 32)
    assert other.module.config.id2label == {0: "left", 1: "right"}


def test_a_head_of_higher_precision_serves_a_bf16_body(folder_of: Callable[..., Path]) -> None:
    bundle = build(folder_of("roberta"), dtype="bf16")
    bundle.module.classifier.float()
    assert scores(bundle, rows_of(bundle)).dtype is torch.float32


@pytest.mark.parametrize(
    ("labels", "error", "fault"),
    [
        ((), ModelError, "this model has no classifier. Train one"),
        (("only",), DataError, "all rows are of one class, 'only'"),
    ],
)
def test_classes_must_be_named(
    labels: tuple[str, ...],
    error: type[Exception],
    fault: str,
    folder_of: Callable[..., Path],
) -> None:
    with pytest.raises(error, match=fault):
        build(folder_of("bert"), labels=labels)


def test_weights_of_another_body_are_refused(tmp_path: Path) -> None:
    import json

    folder = base_folder(tmp_path, "bert")
    config = json.loads((folder / "config.json").read_text())
    for change, fault in (
        ({"num_hidden_layers": 3}, "the weights lack 16 tensors"),
        ({"num_hidden_layers": 1}, "the weights hold 16 tensors the architecture lacks"),
        ({"intermediate_size": 40}, "config.json asks for"),
    ):
        (folder / "config.json").write_text(json.dumps({**config, **change}))
        with pytest.raises(ModelError, match=fault):
            build(folder)


def test_unknown_marks_of_a_second_text_are_refused(tmp_path: Path) -> None:
    folder = base_folder(tmp_path, "bert")
    tokenizer: Any = toy_tokenizer()
    tokenizer.sep_token = "</s>"
    tokenizer.save_pretrained(folder)
    with pytest.raises(ModelError, match="does not know how 'bert' marks a second text"):
        build(folder)


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_added_tokens_get_rows_in_a_classifier_s_embedding(family: str, tmp_path: Path) -> None:
    folder = base_folder(tmp_path, family, vocab_size=40)
    before = build(folder)
    words: Any = before.tokenizer
    many = tuple(f"word{index}" for index in range(42 - len(words)))
    bundle = build(folder, add_tokens=many)
    (rows,) = bundle.token_rows.values()
    assert rows == tuple(range(len(words), 42))
    assert bundle.module.get_input_embeddings().num_embeddings == 42
    assert torch.equal(scores(bundle, rows_of(bundle)), scores(before, rows_of(before)))
    said = LabeledExample(f"the cat {many[-1]}", "sat", 0)
    assert scores(bundle, [TextPair().prompt(said, bundle.tokenizer)]).isfinite().all()
