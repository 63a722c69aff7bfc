"""The whole model as one GGUF file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import gguf

from lorafw.errors import ExportError
from lorafw_gguf._asking import encoder_of, end_mark, marks_of
from lorafw_gguf._encoding import KINDS, exact_dtype, is_quantised, kind_for
from lorafw_gguf._file import GgufFile, Slot
from lorafw_gguf._module import without_numbers
from lorafw_gguf._names import EMBEDDING, HEAD, OUTPUT, ROPE_FREQS, TOKEN_EMBD, Names
from lorafw_gguf._parameters import add_parameters, rope_factors
from lorafw_gguf._templates import chat_template
from lorafw_gguf._vocabulary import vocabulary_of
from lorafw_gguf.families import family_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from lorafw.contracts.exporter import ExportRequest
    from lorafw_gguf._asking import Marks


def write_merged(
    request: ExportRequest, path: Path, dtype: str, *, marks: Marks | None = None
) -> None:
    """Write the model with its adapter folded in, and read it back.

    Args:
        request: what is exported.
        path: of the file.
        dtype: as the exporter's option.
        marks: special tokens, where they are not what the tokenizer says.

    Raises:
        ExportError: as the exporter's `export` does.
    """
    module: Any = request.model.bundle.module
    names = Names(family_of(request.model.bundle), module.config)
    _refuse_other_parts(request)
    dtype = exact_dtype(_live(request, EMBEDDING).dtype) if dtype == "auto" else dtype
    slots = _slots(request, names, dtype)
    header = _header(request, dtype, slots[TOKEN_EMBD].shape[0], marks)
    file = GgufFile(path, header, slots)
    try:
        for name, tensor in _tensors(request, names):
            file.add(name, tensor)
        file.finish()
    finally:
        file.abandon()


def check_writable(request: ExportRequest) -> None:
    """Raise ExportError for a model, or a tokenizer, that llama.cpp has no place for."""
    bundle = request.model.bundle
    family_of(bundle)
    _refuse_other_parts(request)
    words: Any = bundle.tokenizer
    vocabulary_of(bundle.tokenizer, 1 + max(words.get_vocab().values()))
    marks_of(bundle.tokenizer, None)


def _refuse_other_parts(request: ExportRequest) -> None:
    spec = request.model.spec
    if spec.parameters:
        fault = f"the adapter changes {spec.parameters[0]}, which a dense model has not."
        raise ExportError(fault, mend="Use exporter adapter.")


def _header(request: ExportRequest, dtype: str, rows: int, marks: Marks | None) -> gguf.GGUFWriter:
    bundle = request.model.bundle
    module: Any = bundle.module
    encoder = encoder_of(request)
    header = gguf.GGUFWriter(None, family_of(bundle).architecture)
    header.add_type(gguf.GGUFType.MODEL)
    header.add_name(_name(request))
    header.add_file_type(KINDS[dtype][1])
    if is_quantised(dtype):
        header.add_quantization_version(gguf.GGML_QUANT_VERSION)
    add_parameters(header, module.config, vocabulary=rows)
    vocabulary_of(bundle.tokenizer, rows).write(header)
    turn = end_mark(encoder, bundle.tokenizer)
    (marks or marks_of(bundle.tokenizer, turn)).write(header)
    if template := chat_template(encoder, bundle.tokenizer):
        header.add_chat_template(template)
    return header


def _name(request: ExportRequest) -> str:
    """What the base is called; not where it lies, which is nobody's business."""
    path = str(getattr(request.builder, "path", "")).rstrip("/")
    return Path(path.replace(":", "/")).name or "model"


def _slots(request: ExportRequest, names: Names, dtype: str) -> dict[str, Slot]:
    """Every tensor of the file, in the order of the model."""
    slots = dict[str, Slot]()
    for name in _base_names(request):
        shape, called = tuple(_live(request, name).shape), names(name)
        is_outer = called in (TOKEN_EMBD, OUTPUT)
        slots[called] = Slot(shape, kind_for(dtype, shape, is_outer=is_outer))
    factors = rope_factors(request.model.bundle.module)
    if factors is not None:
        slots[ROPE_FREQS] = Slot(tuple(factors.shape), KINDS["f32"][0])
    return slots


def _base_names(request: ExportRequest) -> Iterator[str]:
    """Names of the base's own tensors; the head only where it is not the embedding."""
    module: Any = request.model.bundle.module
    has_head = not _tied(request)
    for name, _ in without_numbers(module.config).named_parameters(remove_duplicate=False):
        if name != HEAD or has_head:
            yield name


def _tied(request: ExportRequest) -> bool:
    return _live(request, HEAD).data_ptr() == _live(request, EMBEDDING).data_ptr()


def _live(request: ExportRequest, name: str) -> Tensor:
    return request.model.base_tensor(name)


def _tensors(request: ExportRequest, names: Names) -> Iterator[tuple[str, Tensor]]:
    """The merged tensors under llama.cpp's names; no adapted weight may be missing."""
    tied, missing = _tied(request), {f"{name}.weight" for name in request.model.spec.targets}
    for live, merged in request.model.merged_state():
        missing.discard(live)
        for name, tensor in request.builder.native_state(live, merged).items():
            if name != HEAD or not tied:
                yield names(name), names.ordered(name, tensor)
    if missing:
        raise ExportError(f"the update of {min(missing)} has no place in the base's weights.")
    factors = rope_factors(request.model.bundle.module)
    if factors is not None:
        yield ROPE_FREQS, factors
