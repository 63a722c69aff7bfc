"""What wandb keeps offline is read back from its own file; nothing asks for the network."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.builtin.trackers.story import (
    NOTICE,
    RESULT,
    SECRETS,
    Story,
    broken_off,
    resumed,
    whole,
)
from wandb.proto.wandb_internal_pb2 import Record
from wandb.sdk.internal.datastore import DataStore

from lorafw.builtin.trackers.wandb import FOLDER, TOLD, WandB
from lorafw.errors import LorafwError

LISTENER = WandB(mode="offline", project="tests", tags=("a", "b"))
ACCOUNT = ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_CONFIG_DIR", "WANDB_MODE", "NETRC")


def runs(folder: Path) -> list[Path]:
    """Files of the processes that told of the run, in the order they were made in."""
    return sorted((folder / FOLDER).glob("offline-run-*/*.wandb"), key=os.path.getmtime)


def records(path: Path) -> list[Record]:
    """All there are; wandb's own process may write the last ones after the run has ended."""
    patience = time.monotonic() + 20
    while True:
        try:
            found = list(scanned(path))
        except AssertionError:  # a record of which only a part is written
            found = []
        if any(r.WhichOneof("record_type") == "exit" for r in found):
            return found
        assert time.monotonic() < patience, f"{path} has no end"
        time.sleep(0.05)


def scanned(path: Path) -> Iterator[Record]:
    store = DataStore()
    store.open_for_scan(str(path))
    try:
        while (data := store.scan_data()) is not None:
            yield Record.FromString(data)
    finally:
        store.close()


def values(items: Any) -> dict[str, Any]:
    return {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items}


def history(*paths: Path) -> list[dict[str, Any]]:
    found = [record for path in paths for record in records(path)]
    return [values(r.history.item) for r in found if r.WhichOneof("record_type") == "history"]


def steps(*paths: Path, name: str) -> list[int]:
    return [row["step"] for row in history(*paths) if name in row]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    whole(LISTENER, folder)
    return folder


def test_figures_by_step(told: Path) -> None:
    (path,) = runs(told)
    assert steps(path, name="train/loss") == [1, 2, 3, 4]
    assert steps(path, name="eval/loss") == [0, 2, 4]
    first = history(path)[1]
    names = {"loss", "learning_rate", "grad_norm", "tokens_per_second", "epoch"}
    assert {f"train/{name}" for name in names} <= first.keys()
    assert first["train/loss"] == 4.0


def test_the_run_has_its_name_settings_and_tags(told: Path) -> None:
    (path,) = runs(told)
    (run,) = [r.run for r in records(path) if r.WhichOneof("record_type") == "run"]
    assert (run.project, run.display_name, list(run.tags)) == ("tests", "story", ["a", "b"])
    changes = [r.config.update for r in records(path) if r.WhichOneof("record_type") == "config"]
    settings = {name: value for update in changes for name, value in values(update).items()}
    assert settings["plan.learning_rate"] == 2e-4
    assert settings["dataset.token"] == "***"


def test_the_end_is_told(told: Path, tmp_path: Path) -> None:
    broken_off(LISTENER, tmp_path)
    for folder, code, key, value in [
        (told, 0, "result/last_loss", RESULT["last_loss"]),
        (tmp_path, 1, "result/error", "the disk is full."),
    ]:
        (path,) = runs(folder)
        found = records(path)
        assert [r.exit.exit_code for r in found if r.WhichOneof("record_type") == "exit"] == [code]
        updates = [r.summary.update for r in found if r.WhichOneof("record_type") == "summary"]
        summary = {name: value for update in updates for name, value in values(update).items()}
        assert summary[key] == value
        assert summary["notices"] == NOTICE


def test_no_secret_is_written(told: Path) -> None:
    files = [path for path in (told / FOLDER).rglob("*") if path.is_file()]
    assert not [s for s in SECRETS for file in files if s.encode() in file.read_bytes()]


def test_a_resumed_run_goes_on_with_the_same_one(tmp_path: Path) -> None:
    broken_off(LISTENER, tmp_path)
    resumed(LISTENER, tmp_path)
    first, second = runs(tmp_path)
    assert first.name == second.name
    assert steps(first, second, name="train/loss") == [1, 2, 3, 4]
    assert steps(first, second, name="eval/loss") == [0, 2, 4]
    kept = json.loads((tmp_path / FOLDER / TOLD).read_text())
    assert kept["last"] == {"train": 4, "eval/train": 4}
    assert first.name == f"run-{kept['run']}.wandb"


def test_a_run_that_starts_over_is_another_one(tmp_path: Path) -> None:
    Story(LISTENER, tmp_path).begin().step(1).fail()
    Story(LISTENER, tmp_path).begin().step(1).fail()
    assert len({path.name for path in runs(tmp_path)}) == 2


def test_offline_asks_for_no_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        for name in ("WANDB_BASE_URL", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
            monkeypatch.setenv(name, address)
        whole(LISTENER, tmp_path)
        server.settimeout(0.2)
        with pytest.raises(TimeoutError):
            server.accept()


def test_without_the_package_there_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lorafw.builtin.trackers._packages.find_spec", lambda _: None)
    with pytest.raises(LorafwError, match=r"pip install 'lorafw\[wandb\]'"):
        LISTENER.preflight()


@pytest.fixture
def no_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ACCOUNT:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_online_needs_a_key(no_account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LorafwError, match="wandb login"):
        WandB().preflight()
    WandB(mode="offline").preflight()
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    WandB().preflight()


@pytest.mark.parametrize("place", [".netrc", "_netrc", ".config/wandb/settings"])
def test_a_key_may_lie_where_wandb_puts_it(no_account: Path, place: str) -> None:
    (no_account / place).parent.mkdir(parents=True, exist_ok=True)
    (no_account / place).touch()
    WandB().preflight()


def test_the_environment_chooses_the_mode(
    no_account: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert WandB().chosen_mode == "online"
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert WandB().chosen_mode == "offline"
    assert WandB(mode="online").chosen_mode == "online"
