"""What is asked for on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lorafw.certification.targets import parsed, targets_of
from lorafw.errors import ConfigError, LorafwError, PluginError, UsageError


@pytest.mark.parametrize(
    ("text", "name", "options"),
    [
        ("merged", "merged", {}),
        ("merged:dtype=bf16", "merged", {"dtype": "bf16"}),
        ("x/merged:a=1,b=[2]", "x/merged", {"a": 1, "b": [2]}),
        ("my.mod:Writer", "my.mod:Writer", {}),
        ("my.mod:Writer:a=true", "my.mod:Writer", {"a": True}),
    ],
)
def test_wishes_are_read(text: str, name: str, options: dict[str, Any]) -> None:
    assert parsed(text) == (name, options)


@pytest.mark.parametrize("text", ["merged:dtype=bf16,x", "merged:a=1,=2"])
def test_bad_wishes_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not key=value"):
        parsed(text)


def chosen(source: Path, *wishes: str, out: Path | None = None, force: bool = False) -> list[Path]:
    targets = targets_of(wishes, source, out, accept_loss=False, force=force)
    return [target.final for target in targets]


def test_places(tmp_path: Path) -> None:
    out, run = tmp_path / "out", tmp_path / "run"
    run.mkdir()
    (run / "run.yaml").touch()
    assert chosen(run, "merged", "adapter") == [run / "merged", run / "adapter"]
    assert chosen(tmp_path, "merged", out=out) == [out]
    assert chosen(tmp_path, "merged", "lorafw/adapter", out=out) == [
        out / "merged",
        out / "adapter",
    ]


@pytest.mark.parametrize(
    ("wishes", "error", "told"),
    [
        (("merged",), UsageError, "--out DIR"),
        (("merged", "merged:dtype=bf16"), UsageError, "--out DIR"),
        (("merge",), PluginError, "Did you mean 'merged'?"),
        (("merged:dtype=int3",), ConfigError, "exporter.dtype"),
    ],
)
def test_what_cannot_be_done_is_said_at_once(
    tmp_path: Path, wishes: tuple[str, ...], error: type[LorafwError], told: str
) -> None:
    with pytest.raises(error) as caught:
        chosen(tmp_path, *wishes)
    assert told in str(caught.value)


def test_what_is_there_is_replaced_if_it_is_an_export(tmp_path: Path) -> None:
    place = tmp_path / "out"
    place.write_text("a file")
    with pytest.raises(UsageError, match="is a file"):
        chosen(tmp_path, "merged", out=place, force=True)
    with pytest.raises(UsageError, match="out: is a file"):
        chosen(tmp_path, "merged", out=place / "inside")
    place.unlink()
    place.mkdir()
    (place / "holiday.jpg").touch()
    with pytest.raises(UsageError, match="is there already"):
        chosen(tmp_path, "merged", out=place)
    with pytest.raises(UsageError, match="is no export"):
        chosen(tmp_path, "merged", out=place, force=True)
    (place / "certificate.json").touch()
    assert chosen(tmp_path, "merged", out=place, force=True) == [place]
    with pytest.raises(UsageError, match="asked for twice"):
        chosen(tmp_path, "merged", "merged", out=tmp_path / "two")
