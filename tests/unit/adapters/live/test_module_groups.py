"""Which part of a layer a module belongs to, in families that name it differently."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from lorafw.adapters.live.module_groups import groups_of
from lorafw.errors import AdapterError
from lorafw.models.names import layer_linears
from lorafw.testing.toy_classifier import toy_classifier
from lorafw.testing.toy_injector import ToyInjector
from lorafw.testing.toys import toy_bundle, toy_gpt2_bundle


class FeedForward(nn.Module):
    """MiniMind's, whose attribute has a name of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.w1 = nn.Linear(2, 2)


class Odd(nn.Module):
    """Names that only look like those of the groups."""

    def __init__(self) -> None:
        super().__init__()
        self.mlpish = nn.ModuleDict({"w": nn.Linear(2, 2)})
        self.attentive = nn.ModuleDict({"w": nn.Linear(2, 2)})
        self.part = FeedForward()
        self.mlp = nn.ModuleDict(
            {"experts": nn.ModuleList([FeedForward()]), "shared_experts": FeedForward()}
        )


@pytest.mark.parametrize(
    ("name", "groups"),
    [
        ("mlpish.w", ()),
        ("attentive.w", ()),
        ("part.w1", ("mlp",)),
        ("mlp.experts.0.w1", ("experts", "mlp")),
        ("mlp.shared_experts.w1", ("mlp",)),
    ],
)
def test_only_whole_words_tell(name: str, groups: tuple[str, ...]) -> None:
    assert groups_of(Odd(), name) == groups


def test_every_linear_of_a_layer_has_its_group() -> None:
    attention = {"attention", "attn", "self_attn"}
    for module in (toy_bundle().module, toy_gpt2_bundle().module, toy_classifier().module):
        for name in layer_linears(module):
            wanted = "attention" if attention & set(name.split(".")) else "mlp"
            assert groups_of(module, name) == (wanted,), name


def test_layers_without_a_module_around_their_mlp() -> None:
    from transformers import OPTConfig, OPTForCausalLM

    with torch.device("meta"):
        model = OPTForCausalLM(
            OPTConfig(
                vocab_size=8,
                hidden_size=8,
                ffn_dim=8,
                word_embed_proj_dim=8,
                num_hidden_layers=1,
                num_attention_heads=2,
            )
        )
    assert groups_of(model, "model.decoder.layers.0.fc1") == ("mlp",)
    assert groups_of(model, "model.decoder.layers.0.self_attn.out_proj") == ("attention",)


def ranks(**options: Any) -> dict[str, int]:
    """Ranks in the first layer by the linear's own name."""
    spec = ToyInjector.from_mapping({"r": 4, **options}, where="injector").spec(toy_bundle())
    return {n.rpartition(".")[2]: spec.rank_of(n) for n in spec.targets if ".0." in n}


def test_a_pattern_names_groups_and_r_is_for_the_rest() -> None:
    found = ranks(rank_pattern={"attention": 8})
    assert found == {
        **dict.fromkeys(("q_proj", "k_proj", "v_proj", "o_proj"), 8),
        **dict.fromkeys(("gate_proj", "up_proj", "down_proj"), 4),
    }


def test_names_go_before_groups_whatever_their_order() -> None:
    full = "model.layers.0.mlp.up_proj"
    found = ranks(rank_pattern={"mlp": 16, "down_proj": 2, full: 3, "attention": 8})
    assert {name: found[name] for name in ("gate_proj", "down_proj", "up_proj", "q_proj")} == {
        "gate_proj": 16,
        "down_proj": 2,
        "up_proj": 3,
        "q_proj": 8,
    }


def test_a_group_that_is_not_adapted_is_an_error() -> None:
    with pytest.raises(AdapterError, match=r"rank_pattern\.experts: matches no adapted module"):
        ranks(rank_pattern={"experts": 2})
