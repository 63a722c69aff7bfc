"""What all tests share."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest

from lorafw.testing.forked_ranks import IMPORTED

IMPORTED += [  # those that are not installed are passed by
    "deepspeed.module_inject.auto_ep_layer",
    "deepspeed.ops.op_builder.all_ops",
    "deepspeed.runtime.zero.muon.muon_optimizer",
    "lorafw_accelerate._engine",
    "lorafw_custom._experts",
    "lorafw_ddp._engine",
    "lorafw_deepspeed._zero_engine",
    "lorafw_peft._tuned",
    "torch._inductor.compile_fx",  # DeepSpeed's engine looks into it
]
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("DS_ACCELERATOR", "cpu")
os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # tiny tensors: threads would only wait for each other


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data, models and reference outputs; not part of the project."""
    place = os.environ.get("LORAFW_SHARED")
    if not place:
        pytest.skip("LORAFW_SHARED is not set: the folder of real data and models is not here")
    return Path(place).resolve()


@pytest.fixture(scope="module", autouse=True)
def what_is_here_lasts() -> None:
    """What was imported and made before a file of tests is not looked at by every collection.

    A run ends with one, which took half a second each in a process that has seen a thousand tests.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def row_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where encoded rows are kept while tests run, so that the user's own are left alone."""
    folder = tmp_path_factory.mktemp("row-cache")
    os.environ["LORAFW_CACHE"] = str(folder)
    return folder


@pytest.fixture(scope="session")
def mlflow_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables, which take seconds to make."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}")
    return path
