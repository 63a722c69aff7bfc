"""What an exporter promises: files that give the live model back."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from lorafw.contracts import Exporter, ExportRequest
from lorafw.errors import ExportError
from lorafw.testing.component import ComponentContract
from lorafw.testing.promise import NotPromised, refused

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

    from lorafw.contracts import Encoder, ModelBuilder

_DEMO = "lorafw:demo"
"""A model with byte-level BPE, for exporters that read no word-level tokenizer."""
_TOKENS = (5, 9, 11, 4, 7, 3, 8, 6, 12, 10)


class ExporterContract(ComponentContract, kind="exporter"):
    """Promises of an `Exporter`; the fixture is called `exporter`.

    An exporter that no tool of this environment opens, so that its `reopen` gives nothing,
    overrides `reload`; one for a single family of models overrides `request`.
    """

    def request(self, folder: Path) -> ExportRequest:
        """A request to export a small model, made in a folder, with an adapter that acts."""
        from lorafw.testing.toys import toy_folder

        return _request(str(toy_folder(folder / "base")))

    def _fitting(self, exporter: Exporter, folder: Path) -> ExportRequest:
        """What to try an exporter on: of the kit's own two models, one that it takes.

        Raises:
            NotPromised: it takes neither.
        """
        request = self.request(folder)
        if type(self).request is not ExporterContract.request:
            return request
        try:
            exporter.foresee(request)
        except ExportError:
            return _accepted(exporter, _request(_DEMO))
        return request

    def reload(self, folder: Path, ids: Sequence[int]) -> Tensor | None:  # noqa: ARG002
        """Logits [len(ids), vocab] of the exported model; None to have them from `reopen`."""
        return None

    def test_the_files_it_names_are_those_it_wrote(
        self, exporter: Exporter, tmp_path: Path
    ) -> None:
        folder = _new(tmp_path / "out")
        request = self._fitting(exporter, tmp_path)
        named = [path.resolve() for path in exporter.export(request, folder)]
        found = [path.resolve() for path in folder.rglob("*") if path.is_file()]
        assert found, "nothing was written"
        assert sorted(named) == sorted(found), f"named {sorted(named)}, found {sorted(found)}"

    def test_a_second_export_is_bit_identical(self, exporter: Exporter, tmp_path: Path) -> None:
        request, contents = self._fitting(exporter, tmp_path), []
        for name in ("first", "second"):
            folder = _new(tmp_path / name)
            files = exporter.export(request, folder)
            contents.append({path.relative_to(folder): path.read_bytes() for path in files})
        first, second = contents
        assert first.keys() == second.keys(), "other files the second time"
        other = [str(name) for name in first if first[name] != second[name]]
        assert not other, f"other bytes the second time: {', '.join(other)}"

    def test_the_exported_model_computes_what_the_live_one_did(
        self, exporter: Exporter, tmp_path: Path
    ) -> None:
        request, folder = self._fitting(exporter, tmp_path), _new(tmp_path / "out")
        exporter.export(request, folder)
        found, wanted = self.reload(folder, _TOKENS), _live_logits(request)
        if found is None:
            found = _reopened(exporter, folder, request.builder)
        off = float((found - wanted).abs().max())
        assert off <= 1e-4, f"logits differ by {off:.1e}"

    def test_the_export_is_certified_and_a_second_certificate_is_the_same(
        self, exporter: Exporter, tmp_path: Path
    ) -> None:
        from lorafw.certification.certificate import CERTIFICATE
        from lorafw.certification.live import Live
        from lorafw.certification.verifying import verify_export

        request, texts = self._fitting(exporter, tmp_path), []
        live = Live(request, _encoder(request))
        for name in ("first", "second"):
            folder = _new(tmp_path / name)
            live.exported(exporter, folder, folder)
            texts.append((folder / CERTIFICATE).read_text(encoding="utf-8"))
        assert texts[0] == texts[1], "other words the second time"
        faults = verify_export(tmp_path / "first").faults
        assert not faults, f"the export does not hold what its certificate says: {faults}"

    def test_a_damaged_adapter_is_refused(self, exporter: Exporter, tmp_path: Path) -> None:
        request = self._fitting(exporter, tmp_path)
        values = dict(request.model.state().tensors)
        name = next(name for name in values if name.endswith(".lora_B.weight"))
        values[name] = values[name].clone().fill_(float("nan"))
        request.model.load_state(values)
        with refused():
            exporter.export(request, _new(tmp_path / "out"))


def _reopened(exporter: Exporter, folder: Path, builder: ModelBuilder) -> Tensor:
    opened = exporter.reopen(folder, builder)
    if opened is None:
        raise NotPromised("no tool that opens these files is installed")
    return opened.logits(_TOKENS)


def _encoder(request: ExportRequest) -> Encoder:
    """How a request's model is asked."""
    from lorafw.assembly.registry import Registry
    from lorafw.inference.loading import part

    usual = {"use": request.builder.default_encoder(request.model.bundle.task)}
    section = request.recipe.get("encoder", usual)
    return cast("Encoder", part(Registry(), "encoder", section))


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _accepted(exporter: Exporter, request: ExportRequest) -> ExportRequest:
    try:
        exporter.foresee(request)
    except ExportError as refusal:
        raise NotPromised(f"it takes no model of the kit's: {refusal}") from refusal
    return request


def _request(path: str) -> ExportRequest:
    """A request to export a small Llama with an adapter that acts."""
    import torch

    import lorafw
    from lorafw.builtin.auto import Auto
    from lorafw.contracts import ModelRequest
    from lorafw.testing.fresh_import import import_path
    from lorafw.testing.toy_injector import ToyInjector
    from lorafw.testing.values import as_if_trained
    from lorafw.types import Task

    builder = Auto.from_mapping({"path": path, "dtype": "fp32"}, where="model")
    asked = ModelRequest(Task.CAUSAL_LM, torch.device("cpu"))
    model = ToyInjector(r=4).inject(builder.build(asked, builder.tokenizer()))
    as_if_trained(model)
    recipe = {
        "lorafw": lorafw.__version__,
        "base": model.bundle.base,
        "model": {"use": "auto", **builder.model_dump(mode="json")},
        "encoder": {"use": "prompt"},
        "injector": {"use": import_path(ToyInjector)},
        "seed": 0,
    }
    return ExportRequest(model, builder, recipe)


def _live_logits(request: ExportRequest) -> Tensor:
    from lorafw.testing.values import logits_of
    from lorafw.types import Encoded

    return logits_of(request.model.bundle, [Encoded(_TOKENS, _TOKENS)])
