"""What an adapter format promises: what it writes it recognises, reads back, and reads whole."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lorafw.contracts.adapter_format import AdapterBase, AdapterFormat
from lorafw.errors import AdapterError, LorafwError
from lorafw.testing.component import ComponentContract
from lorafw.testing.promise import NotPromised, refused

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lorafw.types import AdapterState


class AdapterFormatContract(ComponentContract, kind="adapter_format"):
    """Promises of an `AdapterFormat`; the fixture is called `adapter_format`.

    A format for a single family of models overrides `base` and `state`, one whose files must have
    a certain ending `name`.
    """

    name = "adapter.bin"
    """Of the file or folder that is written."""

    def base(self, folder: Path) -> AdapterBase:
        """A base model, whose files are made in a folder."""
        from lorafw.builtin.auto import Auto
        from lorafw.testing.toys import toy_folder

        path = str(toy_folder(folder / "base"))
        return AdapterBase(Auto.from_mapping({"path": path}, where="model"), path)

    def state(self) -> AdapterState:
        """An adapter of that base that acts, its ranks and scalings not all alike."""
        from lorafw.testing.toy_injector import ToyInjector
        from lorafw.testing.toys import toy_bundle
        from lorafw.testing.values import as_if_trained

        patterns = {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"v_proj": 24.0}}
        injector = ToyInjector(r=4, target_modules=("q_proj", "v_proj"), **patterns)
        model = injector.inject(toy_bundle())
        as_if_trained(model)
        return model.state()

    def written(
        self, adapter_format: AdapterFormat, state: AdapterState, path: Path, base: AdapterBase
    ) -> Sequence[Path]:
        """Write; a format for models of its own must be tried on one of those."""
        try:
            return adapter_format.write(state, path, base)
        except AdapterError as error:
            if type(self) is not AdapterFormatContract:
                raise
            raise NotPromised(f"cannot hold an adapter of the toy model: {error}") from None

    def test_it_recognises_what_it_wrote(
        self, adapter_format: AdapterFormat, tmp_path: Path
    ) -> None:
        self.written(adapter_format, self.state(), tmp_path / self.name, self.base(tmp_path))
        assert adapter_format.recognises(tmp_path / self.name), "its own files are not recognised"

    def test_it_recognises_nothing_else(
        self, adapter_format: AdapterFormat, tmp_path: Path
    ) -> None:
        (tmp_path / "text.bin").write_text("no adapter")
        (tmp_path / "empty").mkdir()
        base = self.base(tmp_path)
        places = [tmp_path / name for name in ("text.bin", "empty", "nowhere", "base")]
        places += _of_other_formats(type(adapter_format), self.state(), base, tmp_path)
        wrong = [place.name for place in places if adapter_format.recognises(place)]
        assert not wrong, f"recognised: {', '.join(wrong)}"

    def test_what_it_wrote_is_read_back(
        self, adapter_format: AdapterFormat, tmp_path: Path
    ) -> None:
        from lorafw.adapters.conversion.conversion import largest_change

        state, base, path = self.state(), self.base(tmp_path), tmp_path / self.name
        self.written(adapter_format, state, path, base)
        change = largest_change(state, adapter_format.read(path, base))
        most = _rounding(adapter_format)
        assert change <= most, f"an update changed by {change:.1e}, promised was {most:.1e}"

    def test_the_files_it_names_are_those_it_wrote(
        self, adapter_format: AdapterFormat, tmp_path: Path
    ) -> None:
        base, path = self.base(tmp_path), tmp_path / self.name
        named = sorted(self.written(adapter_format, self.state(), path, base))
        found = sorted(p for p in (path, *path.rglob("*")) if p.is_file())
        assert named == found, f"named {named}, found {found}"

    def test_a_second_writing_is_bit_identical(
        self, adapter_format: AdapterFormat, tmp_path: Path
    ) -> None:
        state, base, contents = self.state(), self.base(tmp_path), []
        for name in ("first", "second"):
            (tmp_path / name).mkdir()
            files = self.written(adapter_format, state, tmp_path / name / self.name, base)
            contents.append({f.relative_to(tmp_path / name): f.read_bytes() for f in files})
        assert contents[0] == contents[1], "other bytes the second time"

    def test_a_damaged_file_is_refused(self, adapter_format: AdapterFormat, tmp_path: Path) -> None:
        base, path = self.base(tmp_path), tmp_path / self.name
        files = self.written(adapter_format, self.state(), path, base)
        largest = max(files, key=lambda file: file.stat().st_size)
        whole = largest.read_bytes()
        largest.write_bytes(whole[: len(whole) // 2])
        with refused(AdapterError):
            adapter_format.read(path, base)

    def test_a_missing_file_is_refused(self, adapter_format: AdapterFormat, tmp_path: Path) -> None:
        with refused(AdapterError):
            adapter_format.read(tmp_path / "nowhere" / self.name, self.base(tmp_path))

    def test_what_it_cannot_hold_is_refused_rather_than_dropped(
        self, adapter_format: AdapterFormat, tmp_path: Path
    ) -> None:
        import torch

        state, base = self.state(), self.base(tmp_path)
        head, weight = "lm_head", torch.ones(64, 32)
        spec = replace(state.spec, trained=(head,))
        tensors = {**state.tensors, f"{head}.weight": weight}
        path = tmp_path / self.name
        try:
            adapter_format.write(type(state)(spec, tensors), path, base)
        except LorafwError:
            return
        back = adapter_format.read(path, base).tensors.get(f"{head}.weight")
        assert back is not None, "a module that is trained whole was left out silently"
        assert back.equal(weight), "a module that is trained whole was changed"


def _rounding(adapter_format: AdapterFormat) -> float:
    most = adapter_format.rounding
    assert 0 <= most < 0.01, f"rounding is {most}; a hundredth would be a loss of the adapter"
    return most


def _of_other_formats(
    kind: type[AdapterFormat], state: AdapterState, base: AdapterBase, folder: Path
) -> list[Path]:
    """The same adapter in each of core's formats but this kind's."""
    from lorafw.builtin.adapter_formats.peft import Peft
    from lorafw.builtin.adapter_formats.peft_bin import PeftBin
    from lorafw.builtin.adapter_formats.trace import Trace

    places = []
    for other in (Peft(), PeftBin(), Trace()):
        if not (isinstance(other, kind) or issubclass(kind, type(other))):
            places.append(folder / f"of-{type(other).__name__}")
            other.write(state, places[-1], base)
    return places
