"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

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
