"""An export that was changed, or stands on something else, does not hold."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.certification.conftest import EXPORTERS, Toy

from lorafw.certification.certificate import CERTIFICATE
from lorafw.certification.verifying import verify_export
from lorafw.errors import ExportError, UsageError
from lorafw.testing.toys import toy_folder


@pytest.mark.parametrize("name", EXPORTERS)
def test_an_export_holds_wherever_it_is(toy: Toy, tmp_path: Path, name: str) -> None:
    found = verify_export(toy.copied(name, tmp_path))
    assert found.holds
    assert found.measured is not None
    assert found.measured.agreeing == found.measured.positions > 32
    assert found.measured.largest < 1e-4


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_one_changed_byte_of_any_file_is_found(toy: Toy, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(EXPORTERS)))
    file = data.draw(st.sampled_from(sorted(p.name for p in toy.export(name).iterdir())))
    place = data.draw(st.integers(0, toy.export(name).joinpath(file).stat().st_size - 1))
    bits = data.draw(st.integers(1, 255))
    with tempfile.TemporaryDirectory() as there:
        folder = toy.copied(name, Path(there))
        content = bytearray((folder / file).read_bytes())
        content[place] ^= bits
        (folder / file).write_bytes(content)
        if file == CERTIFICATE:
            with pytest.raises(ExportError, match="not as it was written"):
                verify_export(folder)
        else:
            assert verify_export(folder).faults == (f"{file} was changed.",)


def test_a_missing_and_an_added_file_are_named(toy: Toy, tmp_path: Path) -> None:
    folder = toy.copied("merged", tmp_path)
    (folder / "generation_config.json").unlink()
    (folder / "modeling.py").write_text("")
    (folder / "README.md").write_text("what a hub adds is no fault")
    assert verify_export(folder).faults == (
        "generation_config.json is missing.",
        "modeling.py was not there when it was certified.",
    )


def test_another_base_is_named(toy: Toy, tmp_path: Path) -> None:
    folder = toy.copied("adapter", tmp_path)
    other = toy_folder(tmp_path / "other", seed=1)
    (fault,) = verify_export(folder, base=str(other)).faults
    assert "was trained on the base model sha256:" in fault
    moved = shutil.copytree(toy.base, tmp_path / "moved")
    assert verify_export(folder, base=str(moved)).holds


def test_another_tokenizer_of_the_base_is_named(toy: Toy, tmp_path: Path) -> None:
    base = shutil.copytree(toy.base, tmp_path / "base")
    rules = json.loads((base / "tokenizer.json").read_text())
    words = rules["model"]["vocab"]
    words["cat"], words["mat"] = words["mat"], words["cat"]
    (base / "tokenizer.json").write_text(json.dumps(rules))
    found = verify_export(toy.copied("adapter", tmp_path), base=str(base))
    assert found.faults == ("the base has another tokenizer than when it was certified.",)


def test_a_base_that_is_gone_is_one_fault(toy: Toy, tmp_path: Path) -> None:
    found = verify_export(toy.copied("adapter", tmp_path), base=str(tmp_path / "gone"))
    (fault,) = found.faults
    assert "there is no such folder" in fault


def test_what_has_no_certificate_is_an_error(toy: Toy, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="there is no certificate"):
        verify_export(toy.base)
    with pytest.raises(UsageError, match="no such folder"):
        verify_export(tmp_path / "nowhere")
