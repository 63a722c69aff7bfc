"""Tokenizers and weights from a folder, through transformers, with one clear error each."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from lorafw.errors import ModelError
from lorafw.models.quantization import keep_differentiable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import torch

    from lorafw.types import Tokenizer

DtypeName: TypeAlias = Literal["auto", "fp32", "bf16", "fp16"]
"""The dtype of a frozen base; `auto` is the one its files have."""

_FAULTS = (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, ImportError)
"""What transformers raises of files that hold something else than it expects."""
_LONG = "sequence-length-is-longer-than-the-specified-maximum"


def load_tokenizer(folder: Path, *, trust_remote_code: bool = False) -> Tokenizer:
    """The tokenizer in a folder.

    Raises:
        ModelError: there is none, or it cannot be read.
    """
    from transformers import AutoTokenizer

    known = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json")
    if not any((folder / name).exists() for name in known):
        mend = "Copy its tokenizer files there, or set tokenizer_path."
        raise ModelError("there is no tokenizer.", where=str(folder), mend=mend)
    with quiet(), explained(folder, "the tokenizer"):
        tokenizer: Any = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=trust_remote_code
        )
    # Encoders cut long rows and say so; the tokenizer's own warning comes before the cut.
    tokenizer.deprecation_warnings[_LONG] = True
    loaded: Tokenizer = tokenizer
    return loaded


def load_config(folder: Path, *, trust_remote_code: bool = False) -> Any:
    """The transformers config of a folder.

    Raises:
        ModelError: it cannot be read, or the architecture is unknown to this transformers.
    """
    from transformers import AutoConfig

    with quiet(), explained(folder, "config.json"):
        return AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=trust_remote_code
        )


def load_model(
    folder: Path,
    *,
    dtype: DtypeName,
    trust_remote_code: bool = False,
    quantization: Any = None,
    device: torch.device | None = None,
) -> Any:
    """A transformers causal language model with every weight from the folder's safetensors files.

    Args:
        folder: in the transformers layout.
        dtype: of the weights; with `quantization`, of those that are not quantised.
        trust_remote_code: run Python files in the folder.
        quantization: from `lorafw.models.quantization.bitsandbytes_config`.
        device: where the weights go; the CPU if not given.

    Raises:
        ModelError: a file is cut off, or the weights are not exactly those the config asks for.
    """
    from transformers import AutoModelForCausalLM

    config = load_config(folder, trust_remote_code=trust_remote_code)
    model, report = from_files(
        AutoModelForCausalLM,
        folder,
        config,
        dtype=dtype,
        trust_remote_code=trust_remote_code,
        quantization=quantization,
        device=device,
    )
    check_report(report, folder)
    return model


def from_files(
    kind: Any,
    folder: Path,
    config: Any,
    *,
    dtype: DtypeName,
    trust_remote_code: bool,
    quantization: Any,
    device: torch.device | None,
) -> tuple[Any, Mapping[str, Any]]:
    """A model of one of transformers' `AutoModelFor…` kinds, and its report on what it loaded.

    The other arguments are those of `load_model`.

    Raises:
        ModelError: a file is cut off, or transformers cannot make this kind of it.
    """
    with quiet(), explained(folder, "the model"):
        if quantization is not None:
            spare = _outside_the_layers(kind, config, trust_remote_code=trust_remote_code)
            quantization.llm_int8_skip_modules = spare  # in 4 bits it goes by this name too
        model, report = kind.from_pretrained(
            folder,
            config=config,
            dtype=torch_dtype(dtype) or "auto",
            attn_implementation=preferred_attention(config),
            trust_remote_code=trust_remote_code,
            local_files_only=True,
            use_safetensors=True,
            ignore_mismatched_sizes=True,  # they are in the report, which says more than the error
            output_loading_info=True,
            quantization_config=quantization,
            device_map=_device_map(quantization, device),
        )
    if quantization is not None:
        keep_differentiable(model)
        return model, report  # quantised weights are where they belong, and some cannot be moved
    return (model if device is None else model.to(device)), report


def _outside_the_layers(kind: Any, config: Any, *, trust_remote_code: bool) -> list[str]:
    """Linears that stay whole: heads, whose values may yet be drawn, and routers of experts."""
    import torch

    from lorafw.models.names import layer_linears

    with torch.device("meta"):
        tree = kind.from_config(config, trust_remote_code=trust_remote_code)
    inside = set(layer_linears(tree))
    linears = (name for name, part in tree.named_modules() if isinstance(part, torch.nn.Linear))
    return [name for name in linears if name not in inside]


def _device_map(quantization: Any, device: torch.device | None) -> dict[str, Any] | None:
    """Where weights go while they are read: quantised ones cannot move, meta ones are not read."""
    straight = quantization is not None or (device is not None and device.type == "meta")
    return {"": device or "cpu"} if straight else None


def torch_dtype(name: DtypeName) -> torch.dtype | None:
    """The torch dtype of an option value; None for `auto`."""
    import torch

    dtypes = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    return dtypes.get(name)


def check_vocabulary(model: Any, tokenizer: Any) -> None:
    """Refuse a tokenizer whose ids the model has no embeddings for.

    Raises:
        ModelError: the tokenizer belongs to another model.
    """
    rows, words = model.get_input_embeddings().num_embeddings, tokenizer.vocab_size
    if words > rows:
        mend = "Use the tokenizer the model was trained with."
        raise ModelError(f"the tokenizer has {words} ids, the model only {rows}.", mend=mend)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' progress bars and log lines off the terminal; errors still raise."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def preferred_attention(config: Any) -> str | None:
    """The attention implementation a family needs; None for transformers' own choice."""
    # The fused kernels ignore the soft cap on attention scores (Gemma 2).
    text = config.get_text_config(decoder=True)
    return "eager" if getattr(text, "attn_logit_softcapping", None) else None


@contextlib.contextmanager
def explained(folder: Path, what: str) -> Iterator[None]:
    """Turn what transformers raises about a bad folder into one error for the user."""
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError

    try:
        yield
    except SafetensorError as error:
        mend = "A file is damaged or cut off; fetch it again."
        message = f"{what} cannot be read: {error}."
        raise ModelError(message, where=str(folder), mend=mend) from error
    except StrictDataclassError as error:  # a config whose fields are wrong, alone or together
        message = f"{what} cannot be loaded: {str(error.__cause__ or error).rstrip('.')}."
        mend = "Is config.json as it was published?"
        raise ModelError(message, where=str(folder), mend=mend) from error
    except _FAULTS as error:
        fault = str(error).strip().partition("\n")[0][:300] or type(error).__name__
        own_code = "trust_remote_code" in str(error)
        mend = "If you trust the code it brings: trust_remote_code: true." if own_code else ""
        message = f"{what} cannot be loaded: {fault}"
        raise ModelError(message, where=str(folder), mend=mend) from error


def check_report(report: Mapping[str, Any], folder: Path) -> None:
    """Refuse weights that are not exactly those the config asks for.

    Raises:
        ModelError: a tensor has another shape, is missing, or has no place.
    """
    for name, have, want in sorted(report["mismatched_keys"]):
        fault = f"{name} has shape {list(have)}, config.json asks for {list(want)}."
        raise ModelError(fault, where=str(folder), mend="Is this the config of these weights?")
    for key, fault in (
        ("missing_keys", "the weights lack {n} tensors that config.json asks for, first {first}."),
        ("unexpected_keys", "the weights hold {n} tensors the architecture lacks, first {first}."),
    ):
        if names := sorted(report[key]):
            message = fault.format(n=len(names), first=names[0])
            mend = "Is this the config of these weights?"
            raise ModelError(message, where=str(folder), mend=mend)
