"""Which modules are chosen, and what is said when none is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lorafw.adapters.targets import base_modules, select_targets
from lorafw.errors import AdapterError

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


def test_a_tied_head_cannot_be_adapted(build_bundle: BuildBundle) -> None:
    with pytest.raises(
        AdapterError, match=r"lm_head\.weight are one tied weight.* Leave lm_head out"
    ):
        select_targets(build_bundle(tied=True), ["q_proj", "lm_head"])


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
        (["embed_tokens"], "model.embed_tokens is a Embedding; only linear layers can be adapted"),
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
