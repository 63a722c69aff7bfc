"""Which modules are chosen, and what is said when none is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lorafw.adapters.live.targets import base_modules, embeddings_among, select_targets
from lorafw.errors import AdapterError
from lorafw.testing.toys import toy_bundle, toy_gpt2_bundle

if TYPE_CHECKING:
    from collections.abc import Callable

    from lorafw.contracts import ModelBundle

    BuildBundle = Callable[..., ModelBundle]


@pytest.fixture
def bundle(build_bundle: BuildBundle) -> ModelBundle:
    return build_bundle()


def test_all_linear_is_what_the_builder_thinks_right(bundle: ModelBundle) -> None:
    assert select_targets(bundle, "all-linear") == bundle.lora_targets
    assert len(bundle.lora_targets) == 14


def test_suffixes_come_in_module_order_whatever_their_own(bundle: ModelBundle) -> None:
    assert select_targets(bundle, ["v_proj", "mlp.up_proj", "q_proj"]) == (
        "model.layers.0.self_attn.q_proj",
        "model.layers.0.self_attn.v_proj",
        "model.layers.0.mlp.up_proj",
        "model.layers.1.self_attn.q_proj",
        "model.layers.1.self_attn.v_proj",
        "model.layers.1.mlp.up_proj",
    )


def test_a_full_name_selects_one_module(bundle: ModelBundle) -> None:
    name = "model.layers.1.mlp.up_proj"
    assert select_targets(bundle, [name]) == (name,)


def test_a_regular_expression_matches_full_names(bundle: ModelBundle) -> None:
    chosen = select_targets(bundle, r"model\.layers\.0\..*[qv]_proj")
    assert chosen == ("model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.v_proj")


@pytest.mark.parametrize(
    ("wanted", "with_head"),
    [(".*", False), ("all-linear", False), (".*(up_proj|lm_head)", True), (["lm_head"], True)],
)
def test_the_head_is_left_out_unless_it_is_named(
    bundle: ModelBundle, wanted: str | list[str], with_head: bool
) -> None:
    assert ("lm_head" in select_targets(bundle, wanted)) is with_head


@pytest.mark.parametrize("tied", [False, True])
def test_a_head_is_adapted_if_it_is_named(build_bundle: BuildBundle, tied: bool) -> None:
    assert select_targets(build_bundle(tied=tied), ["lm_head"]) == ("lm_head",)


def test_head_and_embeddings_are_adapted_if_they_are_named(bundle: ModelBundle) -> None:
    named = ("model.embed_tokens", "lm_head")
    assert select_targets(bundle, ["lm_head", "embed_tokens"]) == named
    assert embeddings_among(bundle.module, named) == named[:1]
    assert not set(named) & set(select_targets(bundle, ".*"))
    assert select_targets(bundle, r".*(embed_tokens|lm_head)") == named


def test_a_module_at_several_places_cannot_be_adapted(bundle: ModelBundle) -> None:
    layers: Any = bundle.module.get_submodule("model.layers")
    layers[1].mlp = layers[0].mlp
    with pytest.raises(AdapterError, match=r"are one module.* Leave model\.layers\.0\.mlp"):
        select_targets(bundle, ["up_proj"])


def test_an_embedding_with_trained_rows_cannot_be_adapted(bundle: ModelBundle) -> None:
    bundle.token_rows = {"model.embed_tokens": (3, 4)}
    with pytest.raises(AdapterError, match="embed_tokens has rows that are trained themselves"):
        select_targets(bundle, ["embed_tokens"])


def test_square_takes_what_gives_as_many_features_as_it_takes(bundle: ModelBundle) -> None:
    layers = [f"model.layers.{number}.self_attn" for number in (0, 1)]
    wanted = tuple(f"{layer}.{name}_proj" for layer in layers for name in "qo")
    assert select_targets(bundle, "square") == wanted  # k and v have fewer heads


def test_square_is_told_of_transposed_weights_too() -> None:
    chosen = select_targets(toy_gpt2_bundle(), "square")
    assert chosen == ("transformer.h.0.attn.c_proj", "transformer.h.1.attn.c_proj")


def test_a_model_without_square_layers_says_so() -> None:
    bundle = toy_bundle(head_dim=4)
    with pytest.raises(AdapterError, match=r"no linear layer matches 'square'\. .*q_proj"):
        select_targets(bundle, "square")


def test_near_misses_are_listed(bundle: ModelBundle) -> None:
    with pytest.raises(AdapterError, match=r"matches 'qproj'\. Near misses: .*q_proj"):
        select_targets(bundle, ["v_proj", "qproj"])


def test_a_lone_suffix_is_told_from_a_regular_expression(bundle: ModelBundle) -> None:
    with pytest.raises(AdapterError, match=r"For modules of that name write \[q_proj\]\."):
        select_targets(bundle, "q_proj")


def test_what_is_there_is_listed_when_nothing_is_near(bundle: ModelBundle) -> None:
    with pytest.raises(AdapterError, match=r"There are: q_proj, k_proj, v_proj"):
        select_targets(bundle, ["xxxxxxxxxx"])


@pytest.mark.parametrize(
    ("wanted", "fault"),
    [
        (["model.norm"], "model.norm is a LlamaRMSNorm; only linear layers and embeddings"),
        ("(", "is no regular expression"),
        ([], "no module is named"),
    ],
)
def test_bad_requests_say_what_is_wrong(
    bundle: ModelBundle, wanted: str | list[str], fault: str
) -> None:
    with pytest.raises(AdapterError, match=fault):
        select_targets(bundle, wanted)


def test_base_modules_do_not_change_when_some_are_adapted(
    bundle: ModelBundle, inject: Callable[..., object]
) -> None:
    before = [name for name, _ in bundle.module.named_modules()]
    inject(bundle)
    assert list(base_modules(bundle.module, bundle.lora_targets)) == before


def test_a_head_that_is_trained_whole_is_never_adapted() -> None:
    from lorafw.testing.toy_classifier import toy_classifier

    bundle = toy_classifier()
    assert "classifier" not in select_targets(bundle, ".*(dense|classifier)")
    with pytest.raises(AdapterError, match="classifier is trained whole; leave it out"):
        select_targets(bundle, ["classifier"])
