"""A DeepSpeed config of the user's own: heeded, refused where it contradicts, never half read."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch.nn import functional

from lorafw.errors import ConfigError
from lorafw.testing import TrainerContract
from lorafw.testing.reference import train_plainly
from lorafw.testing.toy_engine import advance, opened, values_of
from lorafw.types import Capability
from lorafw_deepspeed._config import merged
from lorafw_deepspeed.trainer import DeepSpeedTrainer
from lorafw_deepspeed.user_config import UserConfig

OF_TRANSFORMERS = {
    "fp16": {"enabled": "auto", "loss_scale": 0, "initial_scale_power": 16},
    "bf16": {"enabled": "auto"},
    "optimizer": {"type": "auto", "params": {"lr": "auto", "betas": "auto"}},
    "scheduler": {"type": "auto", "params": {"warmup_num_steps": "auto"}},
    "zero_optimization": {
        "stage": 3,
        "offload_param": {"device": "cpu", "pin_memory": False},
        "overlap_comm": False,
        "sub_group_size": 1e9,
        "reduce_bucket_size": "auto",
        "stage3_prefetch_bucket_size": 1000,
        "stage3_param_persistence_threshold": 0,
    },
    "gradient_accumulation_steps": "auto",
    "gradient_clipping": "auto",
    "train_batch_size": "auto",
    "train_micro_batch_size_per_gpu": "auto",
    "steps_per_print": 2000,
    "wall_clock_breakdown": True,
}

Write = Callable[[Any], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(config: Any) -> Path:
        path = tmp_path / "ds.json"
        path.write_text(config if isinstance(config, str) else json.dumps(config))
        return path

    return written


def trainer(path: Path, **options: Any) -> DeepSpeedTrainer:
    return DeepSpeedTrainer.from_mapping({"config": str(path), **options}, where="trainer")


def complaint(path: Path, **options: Any) -> str:
    with pytest.raises(ConfigError) as refused:
        trainer(path, **options)
    assert str(refused.value).startswith("trainer.")
    return str(refused.value)


def test_what_it_says_of_options_counts_as_if_it_were_said(write: Write) -> None:
    found = trainer(write(OF_TRANSFORMERS))
    assert found.zero_stage == 3
    assert found.persistence_threshold == 0
    assert (found.offload_parameters, found.offload_optimizer) == (True, False)
    assert not found.pin_memory
    assert Capability.WHOLE_PARAMETERS not in found.capabilities
    again = DeepSpeedTrainer.from_mapping(found.model_dump(mode="json"), where="trainer")
    assert again == found


def test_auto_and_options_are_not_passed_on_and_the_rest_is_as_it_was(write: Write) -> None:
    zero = {"overlap_comm": False, "sub_group_size": 1e9, "stage3_prefetch_bucket_size": 1000}
    rest = {"steps_per_print": 2000, "wall_clock_breakdown": True, "zero_optimization": zero}
    assert UserConfig.read(write(OF_TRANSFORMERS)).rest == rest


def test_every_contradiction_is_named_with_what_to_do(write: Write) -> None:
    path = write(
        {
            "optimizer": {"type": "AdamW", "params": {"lr": 1e-4}},
            "train_batch_size": 64,
            "gradient_clipping": 1.0,
            "bf16": {"enabled": True},
            "zero_optimization": {"stage": 1, "offload_optimizer": {"device": "nvme"}},
        }
    )
    told = complaint(path, zero_stage=2)
    first, *lines = re.split(r" \(\d\) ", told)
    assert first == f"trainer.config: {path}: 6 keys contradict what lorafw decides."
    for key, instead in {
        "optimizer:": "plan.optimizer_options",
        "train_batch_size is 64:": "plan.global_batch_size",
        "gradient_clipping is 1.0:": "plan.max_grad_norm",
        "bf16.enabled is true:": "model.dtype",
        "zero_optimization.stage is 1:": "trainer.zero_stage is 2",
        'zero_optimization.offload_optimizer.device is "nvme":': "cpu or none",
    }.items():
        (line,) = [line for line in lines if line.startswith(key)]
        assert instead in line


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"a": 1,\n "b": }', "ds.json:2: "),
        ('{"a": 1, "a": 2}', "more than once in a block: a."),
        ("[]", "does not hold a JSON object"),
        ('{"zero_optimization": true}', "zero_optimization: it must be a block."),
        ('{"bf16": true}', "bf16: it must be a block."),
        ('{"zero_optimization": {"stage": [2]}}', "zero_optimization.stage is [2]: make it 0, 1"),
        (
            '{"zero_optimization": {"offload_optimizer": {"device": ["cpu"]}}}',
            'zero_optimization.offload_optimizer.device is ["cpu"]: make it cpu or none.',
        ),
    ],
)
def test_a_file_that_is_no_config_is_refused(text: str, told: str, write: Write) -> None:
    assert told in complaint(write(text))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "No such file" in complaint(tmp_path / "ds.json")


@pytest.mark.parametrize(("option", "stage"), [("offload_optimizer", 0), ("offload_parameters", 2)])
def test_a_stage_that_cannot_offload_says_so(option: str, stage: int) -> None:
    with pytest.raises(ConfigError, match=rf"trainer\.{option}: stage {stage} of ZeRO"):
        DeepSpeedTrainer.from_mapping({"zero_stage": stage, option: True}, where="trainer")


def test_what_deepspeed_would_pass_over_is_named(write: Write) -> None:
    misspelt = {
        "wall_clock_breakdwn": True,
        "communication_data_type": "fp32",
        "tensorboard": {"enabled": False},
        "zero_optimization": {"overlap_com": True},
    }
    with pytest.raises(ConfigError) as refused:
        trainer(write(misspelt)).connect()
    told = str(refused.value)
    assert "wall_clock_breakdwn: DeepSpeed knows no such key. Did you mean" in told
    assert "zero_optimization.overlap_com: DeepSpeed knows no such key. Did you mean" in told
    assert "(2)" in told
    assert "(3)" not in told


def test_blocks_are_merged_and_the_later_wins() -> None:
    found = merged({"a": {"x": 1, "y": 1}, "b": 1}, {"a": {"y": 2}}, {"b": 3})
    assert found == {"a": {"x": 1, "y": 2}, "b": 3}


@pytest.mark.slow
def test_it_trains_the_same_under_such_a_config_and_resumes_under_it(
    write: Write, tmp_path: Path
) -> None:
    """With its clocks running too; and torch has its own linear layer again afterwards."""
    torchs, own = functional.linear, trainer(write(OF_TRANSFORMERS))
    with opened(own) as engine:
        advance(engine, range(5))
        found = values_of(engine)
    wanted = train_plainly().values
    assert max(float((found[name] - value).abs().max()) for name, value in wanted.items()) <= 5e-6
    assert functional.linear is torchs
    resumed = "test_a_resumed_run_ends_as_an_uninterrupted_one_bit_for_bit"
    getattr(TrainerContract(), resumed)(own, tmp_path)
