"""A method and its options are checked against PEFT before any weight is read."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from lorafw.errors import AdapterError, ConfigError
from lorafw.testing.toys import toy_bundle
from lorafw.types import Capability
from lorafw_peft.injector import PeftInjector


def injector(**options: Any) -> PeftInjector:
    return PeftInjector.from_mapping(options, where="injector")


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"method": "lorra"}, r"injector\.method: PEFT has no method 'lorra'\. Did you mean"),
        (
            {"method": "vera", "method_options": {"vera_dropot": 0.1}},
            r"injector\.method_options\.vera_dropot: unknown option\. Did you mean 'vera_dropout'",
        ),
        (
            {"method": "vera", "method_options": {"d_initial": "much"}},
            r"injector\.method_options\.d_initial: .*valid number.*got 'much'",
        ),
        (
            {"method": "vera", "method_options": {"target_modules": ["q_proj"]}},
            r"method_options\.target_modules: is set by lorafw\. Use injector\.target_modules",
        ),
        ({"method": "ia3", "r": 4}, r"injector\.r: method ia3 has no such option"),
        (
            {"method": "vera", "r": 4, "method_options": {"r": 8}},
            r"injector\.method_options\.r: is the same as injector\.r",
        ),
        (
            {"method": "oft", "method_options": {"r": 4, "oft_block_size": 4}},
            r"injector\.method_options: PEFT says: ",
        ),
        ({"method_options": {"r": 4}}, r"injector\.method_options\.r: method lora takes"),
        ({"method": "ia3", "init": "pissa"}, r"injector\.init: method ia3 has no such option"),
    ],
)
def test_a_wrong_choice_is_explained(options: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        injector(**options).preflight()


def test_a_method_is_named_in_any_case() -> None:
    model = injector(method="VeRA", r=4).inject(toy_bundle())
    assert model.spec.method == "VERA"
    assert model.spec.options["r"] == 4


@pytest.mark.parametrize("method", ["ia3", "adalora", "vera"])
def test_options_written_out_at_their_defaults_are_no_fault(method: str) -> None:
    brief = injector(method=method)
    written = injector(**brief.model_dump())
    assert written.model_fields_set >= {"r", "alpha", "rank_pattern", "init"}
    models = [part.inject(toy_bundle()) for part in (brief, written)]
    assert models[0].spec == models[1].spec
    assert models[0].wants_gradients == (method == "adalora")


def test_patterns_reach_the_method_by_suffix() -> None:
    model = injector(method="loha", r=4, rank_pattern={"q_proj": 2}).inject(toy_bundle())
    ranks = {n.split(".")[-2]: p.shape for n, p in model.trainable().items() if "w1_b" in n}
    assert (ranks["q_proj"][0], ranks["k_proj"][0]) == (2, 4)


def test_ia3_scales_inputs_of_the_modules_named() -> None:
    options = {"feedforward_modules": ["down_proj"]}
    model = injector(method="ia3", method_options=options).inject(toy_bundle())
    shapes = {name.split(".")[-2]: tuple(p.shape) for name, p in model.trainable().items()}
    assert (shapes["down_proj"], shapes["up_proj"]) == ((1, 48), (48, 1))


@pytest.mark.filterwarnings("ignore:Unsupported layer type")  # PEFT asks for its size, in vain
def test_modules_chosen_for_layer_norms_are_those_named() -> None:
    model = injector(method="ln_tuning", target_modules=["model.norm"]).inject(toy_bundle())
    assert model.spec.targets == ("model.norm",)
    with pytest.raises(AdapterError, match="nothing matches"):
        injector(method="ln_tuning", target_modules=["nrom"]).inject(toy_bundle())


def test_modules_to_save_are_trained_beside_any_method() -> None:
    model = injector(method="ia3", modules_to_save=["model.norm"]).inject(toy_bundle())
    assert model.spec.trained == ("model.norm",)
    assert "model.norm.weight" in model.trainable()
    assert "model.norm.weight" in model.state().tensors


def test_what_a_model_cannot_take_is_said_in_one_error() -> None:
    with pytest.raises(AdapterError, match=r"PEFT cannot put VBLORA into this model: .*divisible"):
        injector(method="vblora").inject(toy_bundle())


def test_dropout_of_a_method_depends_on_the_split() -> None:
    plain, dropping = (
        injector(method="vera"),
        injector(method="vera", method_options={"vera_dropout": 0.1}),
    )
    assert Capability.SPLIT_DEPENDENT not in plain.capabilities
    assert Capability.SPLIT_DEPENDENT in dropping.capabilities


def test_options_travel_to_other_processes_as_they_were_given() -> None:
    sent = pickle.loads(pickle.dumps(injector(method="ia3")))
    sent.preflight()
    assert sent == injector(method="ia3")
