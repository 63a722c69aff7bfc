"""Trained rows of a vocabulary: they stand in for the base's, in embedding, head and exports."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

from lorafw.adapters.layout.peft_layout import read_adapter, write_adapter
from lorafw.adapters.live._row_layers import RowsEmbedding, RowsHead
from lorafw.adapters.live.token_rows import TokenRows
from lorafw.builtin.causal_lm import CausalLM
from lorafw.errors import AdapterError
from lorafw.testing.toys import ToyEncoder, toy_bundle, toy_rows
from lorafw.types import AdapterSpec, Layout, token_rows_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from lorafw.contracts import AdaptedModel, LoRAInjector, ModelBundle

    Inject = Callable[..., AdaptedModel]

EMBEDDING, HEAD = "model.embed_tokens", "lm_head"
IDS = (7, 40, 5)
TOKENS = torch.tensor([[5, 9, 40, 4, 40, 7]])
TIED = pytest.mark.parametrize("tied", [False, True])


@torch.no_grad()
def logits(bundle: ModelBundle) -> Tensor:
    inputs = {"input_ids": TOKENS, "attention_mask": torch.ones_like(TOKENS)}
    return bundle.logits(bundle.hidden(inputs).rows)


def disturb(model: AdaptedModel) -> None:
    generator = torch.Generator().manual_seed(0)
    for parameter in model.trainable().values():
        parameter.data.add_(torch.randn(parameter.shape, generator=generator) * 0.1)


def rows_of(tied: bool) -> dict[str, tuple[int, ...]]:
    return {EMBEDDING: IDS} if tied else {EMBEDDING: IDS, HEAD: IDS}


@TIED
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_they_start_as_the_base_s_and_are_switched_off_with_the_adapter(
    inject: Inject, tied: bool, dtype: str
) -> None:
    bundle = toy_bundle(dtype, tie_word_embeddings=tied)
    before = logits(bundle)
    model = inject(bundle, trainable_tokens=IDS)
    assert model.spec.token_rows == rows_of(tied)
    near = 1e-6 if dtype == "fp32" else 2e-2
    torch.testing.assert_close(logits(bundle), before, rtol=near, atol=near)
    disturb(model)
    assert (logits(bundle) - before).abs().max() > 0.1
    with model.disabled():
        assert torch.equal(logits(bundle), before)


@TIED
def test_each_row_stands_in_wherever_the_weight_is_used(inject: Inject, tied: bool) -> None:
    """Against the plain model with those rows written into its tables."""
    bundle = toy_bundle(tie_word_embeddings=tied)
    plain = copy.deepcopy(bundle)
    model = inject(bundle, trainable_tokens=IDS)
    for name in model.spec.token_rows:
        rows = model.trainable()[token_rows_name(name)]
        rows.data.mul_(-2)
        plain.module.get_parameter(f"{name}.weight").data[list(IDS)] = rows.data
    torch.testing.assert_close(logits(bundle), logits(plain), rtol=0, atol=1e-5)


@TIED
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_merged_tables_have_them_rounded_once(inject: Inject, tied: bool, dtype: str) -> None:
    bundle = toy_bundle(dtype, tie_word_embeddings=tied)
    before = {name: tensor.clone() for name, tensor in bundle.module.state_dict().items()}
    model = inject(bundle, trainable_tokens=IDS)
    disturb(model)
    merged = dict(model.merged_state())
    assert set(merged) == set(before) - ({"lm_head.weight"} if tied else set())
    for name in model.spec.token_rows:
        wanted = before[f"{name}.weight"]
        rows = model.trainable()[token_rows_name(name)].detach()
        wanted[list(IDS)] = rows.to(wanted.dtype)
        assert torch.equal(merged[f"{name}.weight"], wanted)


def test_reset_gives_the_start_rows_back(inject: Inject) -> None:
    bundle = toy_bundle()
    before = logits(bundle)
    model = inject(bundle, trainable_tokens=IDS)
    disturb(model)
    model.reset(seed=3)
    torch.testing.assert_close(logits(bundle), before, rtol=0, atol=1e-6)


@TIED
def test_the_loss_is_exact_and_no_frozen_head_is_offered(inject: Inject, tied: bool) -> None:
    bundle = toy_bundle(tie_word_embeddings=tied)
    model = inject(bundle, trainable_tokens=IDS)
    disturb(model)
    batch = ToyEncoder().collate(toy_rows(5, seed=1), Layout.SEGMENTS, 0)
    assert bundle.head_weight is None
    found = []
    for chunk_rows in (3, 512):
        objective = CausalLM(chunk_rows=chunk_rows)
        totals = {name: float(n) for name, n in objective.counts(batch).items()}
        model.bundle.module.zero_grad()
        loss: Any = objective.loss(bundle, batch, totals)
        loss.backward()
        found.append([p.grad.clone() for p in model.trainable().values() if p.grad is not None])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)
    assert all(found[0][-1].norm(dim=1) > 0)


@TIED
def test_an_adapter_on_disk_goes_into_every_injector(
    injector_class: type[LoRAInjector], inject: Inject, tied: bool, tmp_path: Path
) -> None:
    model = inject(toy_bundle(tie_word_embeddings=tied), r=4, trainable_tokens=IDS)
    disturb(model)
    write_adapter(tmp_path, model.state(), base_path=None, recipe={})
    state = read_adapter(tmp_path)
    assert state.spec.token_rows == rows_of(tied)
    bundle = toy_bundle(tie_word_embeddings=tied)
    again = injector_class().for_spec(state.spec).inject(bundle)
    again.load_state(state.tensors)
    assert torch.equal(logits(bundle), logits(model.bundle))


@TIED
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_plain_peft_reads_them(inject: Inject, tied: bool, tmp_path: Path) -> None:
    from peft import PeftModel

    bundle = toy_bundle(tie_word_embeddings=tied)
    plain: Any = copy.deepcopy(bundle.module)
    model = inject(bundle, trainable_tokens=IDS)
    disturb(model)
    write_adapter(tmp_path, model.state(), base_path=None, recipe={})
    theirs: Any = PeftModel.from_pretrained(plain, tmp_path)
    with torch.no_grad():
        found = theirs(input_ids=TOKENS).logits
    torch.testing.assert_close(found, logits(bundle), rtol=0, atol=1e-5)


def test_tokens_are_given_by_text_or_id_beside_those_that_start_fresh(inject: Inject) -> None:
    bundle = toy_bundle()
    bundle.token_rows = {EMBEDDING: (60,), HEAD: (60,)}
    model = inject(bundle, trainable_tokens=("cat", 60, 9))
    assert model.spec.token_rows == {EMBEDDING: (60, 5, 9), HEAD: (60, 5, 9)}


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"trainable_tokens": ["dog"]}, r"no token 'dog'.*model\.add_tokens"),
        ({"trainable_tokens": [64]}, r"64 rows, of which rows \[64\] cannot"),
        ({"trainable_tokens": {"model.norms": [3]}}, r"no embedding or head model\.norms"),
        ({"trainable_tokens": {"model.layers.0.mlp.up_proj": [3]}}, "in another way"),
        ({"trainable_tokens": [4], "modules_to_save": ["lm_head"]}, "modules_to_save: lm_head"),
    ],
)
def test_what_cannot_be_trained_is_refused(
    inject: Inject, options: dict[str, Any], fault: str
) -> None:
    with pytest.raises(AdapterError, match=fault):
        inject(toy_bundle(), **options)


class Scaled(nn.Embedding):
    """As Gemma's and BART's."""

    embed_scale = 3.0

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        return super().forward(input) * self.embed_scale


class Shifted(nn.Embedding):
    """As nobody's that is known here."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        return super().forward(input) + 1


class Model(nn.Module):
    def __init__(self, kind: type[nn.Embedding]) -> None:
        super().__init__()
        self.table = kind(9, 4)


SPEC = AdapterSpec(rank=1, alpha=1.0, targets=(), token_rows={"table": (8, 2)})


def test_a_scale_of_the_family_scales_trained_rows_too() -> None:
    model = Model(Scaled)
    rows = TokenRows(model, SPEC).parameters[token_rows_name("table")]
    rows.data.fill_(2.0)
    assert torch.equal(model.table(torch.tensor([8, 2])), torch.full((2, 4), 6.0))


def test_an_embedding_that_does_more_than_look_up_is_refused() -> None:
    with pytest.raises(AdapterError, match="a Shifted is more than a table"):
        TokenRows(Model(Shifted), SPEC)


def test_a_head_keeps_its_bias() -> None:
    linear = nn.Linear(4, 9)
    layer = RowsHead(linear, (8, 2), nn.Parameter(linear.weight.detach()[[8, 2]].clone()))
    x = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(layer(x), linear(x))


def test_layers_keep_the_base_s_own_parameters() -> None:
    embedding, linear = nn.Embedding(9, 4), nn.Linear(4, 9)
    rows = nn.Parameter(torch.zeros(1, 4))
    assert RowsEmbedding(embedding, (0,), rows).weight is embedding.weight
    head = RowsHead(linear, (0,), rows)
    assert (head.weight, head.bias) == (linear.weight, linear.bias)
