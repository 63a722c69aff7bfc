"""Accelerate's config file and its launcher's variables: taken up, or refused in one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lorafw.errors import ConfigError
from lorafw.types import Capability
from lorafw_accelerate.sharding import Sharding
from lorafw_accelerate.told import read_environment, read_file
from lorafw_accelerate.trainer import AccelerateTrainer

TOP = """
compute_environment: LOCAL_MACHINE
distributed_type: {kind}
downcast_bf16: 'no'
machine_rank: 0
main_training_function: main
mixed_precision: '{precision}'
num_machines: 1
num_processes: {ranks}
rdzv_backend: static
same_network: true
use_cpu: false
"""
FSDP = """
fsdp_config:
  fsdp_version: 2
  fsdp_auto_wrap_policy: TRANSFORMER_BASED_WRAP
  fsdp_cpu_ram_efficient_loading: true
  fsdp_offload_params: true
  fsdp_reshard_after_forward: false
  fsdp_state_dict_type: SHARDED_STATE_DICT
  fsdp_transformer_layer_cls_to_wrap: LlamaDecoderLayer
"""
LAUNCHED = {
    "ACCELERATE_MIXED_PRECISION": "no",
    "ACCELERATE_DYNAMO_BACKEND": "NO",
    "ACCELERATE_USE_FSDP": "true",
    "FSDP_VERSION": "2",
    "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
    "FSDP_TRANSFORMER_CLS_TO_WRAP": "LlamaDecoderLayer",
    "FSDP_OFFLOAD_PARAMS": "false",
    "FSDP_RESHARD_AFTER_FORWARD": "true",
    "FSDP_STATE_DICT_TYPE": "SHARDED_STATE_DICT",
    "FSDP_CPU_RAM_EFFICIENT_LOADING": "true",
    "FSDP_ACTIVATION_CHECKPOINTING": "false",
}


@pytest.fixture(autouse=True)
def _not_launched(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*LAUNCHED, "ACCELERATE_USE_DEEPSPEED"]:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def written(
        rest: str = "", *, kind: str = "MULTI_GPU", precision: str = "no", ranks: int = 1
    ) -> str:
        path = tmp_path / "accelerate.yaml"
        top = TOP.format(kind=kind, precision=precision, ranks=ranks)
        path.write_text(top + rest, encoding="utf-8")
        return str(path)

    return written


def refused(file: str | None = None, **options: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        AccelerateTrainer(config_file=file, **options).preflight()
    return str(caught.value)


def test_a_file_without_fsdp_changes_nothing(write: Any) -> None:
    trainer = AccelerateTrainer(config_file=write())
    trainer.preflight()
    assert trainer.sharding() is None
    assert trainer.capabilities == AccelerateTrainer().capabilities


def test_fsdp_in_the_file_turns_the_options_on(write: Any) -> None:
    trainer = AccelerateTrainer(config_file=write(FSDP, kind="FSDP"))
    assert trainer.sharding() == Sharding(False, True, ("LlamaDecoderLayer",))
    gradients = {Capability.WHOLE_GRADIENTS, Capability.SETTABLE_GRADIENTS}
    assert trainer.capabilities == gradients


def test_options_that_say_the_same_may_stand_beside_it(write: Any) -> None:
    file = write(FSDP, kind="FSDP")
    same = AccelerateTrainer(config_file=file, fsdp=True, cpu_offload=True)
    assert same.sharding() == AccelerateTrainer(config_file=file).sharding()


@pytest.mark.parametrize(
    ("option", "key"),
    [("fsdp", "distributed_type is FSDP"), ("cpu_offload", "fsdp_offload_params is True")],
)
def test_an_option_that_says_otherwise_is_named_with_the_key(
    write: Any, option: str, key: str
) -> None:
    file = write(FSDP, kind="FSDP")
    told = refused(file, **{option: False})
    assert told.startswith(f"trainer.{option}: ")
    assert f"in {file}, {key}" in told


def test_every_key_that_cannot_be_had_is_named_at_once(write: Any) -> None:
    rest = """
dynamo_config: {dynamo_backend: INDUCTOR}
fsdp_config:
  fsdp_activation_checkpointing: true
  fsdp_auto_wrap_policy: SIZE_BASED_WRAP
  fsdp_ofload_params: true
  fsdp_reshard_after_forward: FULL_SHARD
"""
    file = write(rest, kind="FSDP", precision="bf16")
    told = refused(file)
    assert told.startswith(f"{file}: ")
    for key in (
        "mixed_precision is bf16",
        "dynamo_backend is INDUCTOR",
        "fsdp_version is 1",
        "fsdp_auto_wrap_policy is SIZE_BASED_WRAP",
        "fsdp_activation_checkpointing is True",
        "fsdp_reshard_after_forward is FULL_SHARD",
        "fsdp_ofload_params is unknown. Did you mean 'fsdp_offload_params'?",
    ):
        assert key in told


def test_deepspeed_in_the_file_points_at_its_trainer(write: Any) -> None:
    told = refused(write("deepspeed_config: {zero_stage: 2}\n", kind="DEEPSPEED"))
    assert "distributed_type is DEEPSPEED" in told
    assert "trainer.use=deepspeed" in told


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("distributed_type: 'NO'\nnum_procs: 2\n", "'num_procs'"),
        ("distributed_type: [", "line 1"),
        ("- 1\n", "no keys"),
        ("mixed_precision: 'no'\n", "distributed_type"),
        ("distributed_type: FSDP\nfsdp_config: 7\n", "fsdp_config is 7; it must be a block"),
        ("distributed_type: 'NO'\ndynamo_config: 3\n", "dynamo_config is 3; it must be a block"),
        ("distributed_type: 'NO'\nnum_processes: two\n", "num_processes is two; it must be a"),
    ],
)
def test_what_accelerate_cannot_read_is_an_error_with_the_file(
    tmp_path: Path, text: str, fault: str
) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(text, encoding="utf-8")
    told = refused(str(file))
    assert told.startswith(f"{file}: ")
    assert fault in told


def test_a_bare_no_means_no(tmp_path: Path) -> None:
    file = tmp_path / "bare.yaml"
    file.write_text("distributed_type: NO\nmixed_precision: no\ndynamo_backend: NO\n")
    assert AccelerateTrainer(config_file=str(file)).sharding() is None


def test_layers_that_are_no_names_are_told_as_they_stand(write: Any) -> None:
    rest = "fsdp_config: {fsdp_version: 2, fsdp_transformer_layer_cls_to_wrap: [1, Layer]}\n"
    assert read_file(write(rest, kind="FSDP")).layers == ("1", "Layer")


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    assert "there is no file" in refused(str(tmp_path / "none.yaml"))


def test_the_default_file_is_read_only_when_asked_for(
    write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from accelerate.commands.config import config_args

    monkeypatch.setattr(config_args, "default_config_file", write(FSDP, kind="FSDP"))
    assert AccelerateTrainer().sharding() is None
    assert AccelerateTrainer(config_file="default").sharding() is not None


def test_other_processes_than_the_file_speaks_of_are_refused_before_any_is_met(write: Any) -> None:
    told = read_file(write(ranks=4))
    assert not list(told.conflicts_with(ranks=4, on_cpu=True))
    with pytest.raises(ConfigError, match="num_processes is 4, started are 1; use --nproc 4"):
        AccelerateTrainer(config_file=write(ranks=4)).start()


def test_what_the_launcher_was_told_of_fsdp_is_heeded(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in LAUNCHED.items():
        monkeypatch.setenv(name, value)
    assert AccelerateTrainer().sharding() == Sharding(True, False, ("LlamaDecoderLayer",))
    assert "FSDP_OFFLOAD_PARAMS is false" in refused(cpu_offload=True)


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("ACCELERATE_MIXED_PRECISION", "bf16", "ACCELERATE_MIXED_PRECISION is bf16; write no"),
        ("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4", "plan.global_batch_size"),
        ("ACCELERATE_DYNAMO_BACKEND", "INDUCTOR", "ACCELERATE_DYNAMO_BACKEND is INDUCTOR"),
        ("ACCELERATE_USE_DEEPSPEED", "true", "trainer.use=deepspeed"),
        ("ACCELERATE_USE_FSDP", "true", "fsdp_version is 1; write 2"),
    ],
)
def test_a_variable_that_would_change_the_numbers_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, fault: str
) -> None:
    monkeypatch.setenv(name, value)
    told = refused()
    assert told.startswith("environment: ")
    assert fault in told


def test_variables_of_fsdp_mean_nothing_where_it_is_off() -> None:
    told = read_environment({"FSDP_VERSION": "1", "FSDP_NO_SUCH_THING": "1"})
    assert not list(told.conflicts())
    assert not told.shards


def test_options_of_fsdp_need_fsdp() -> None:
    assert refused(cpu_offload=True).startswith("trainer.cpu_offload: is for sharded parameters.")


def test_accelerate_sees_no_variable_and_leaves_none(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    from lorafw_accelerate._start import unswayed

    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4")
    with unswayed():
        assert not [name for name in os.environ if name.startswith("ACCELERATE_")]
        os.environ["ACCELERATE_USE_FSDP"] = "true"
    assert os.environ["ACCELERATE_GRADIENT_ACCUMULATION_STEPS"] == "4"
    assert "ACCELERATE_USE_FSDP" not in os.environ
