"""An adapter in PEFT's layout, opened by PEFT on a transformers model."""

from __future__ import annotations

import importlib.util
import logging
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

from lorafw.contracts.exporter import Reopened
from lorafw.inference import reopening
from lorafw.inference.loading import request_for
from lorafw.inference.provenance import check_tokenizer
from lorafw.models import folder as folders
from lorafw.models.builder import TransformersBuilder
from lorafw.models.loading import explained, load_tokenizer, quiet, torch_dtype
from lorafw.types import Task

if TYPE_CHECKING:
    from pathlib import Path

    from lorafw.contracts.model import ModelBuilder
    from lorafw.inference.place import Place
    from lorafw.types import Tokenizer


def reopened_with_peft(folder: Path, builder: ModelBuilder) -> Reopened:
    """Open an adapter as plain PEFT does; with lorafw where PEFT is not installed.

    Args:
        folder: the adapter's.
        builder: of its base. Where that is a folder that transformers reads as it is, it is read
            so; else (original checkpoints, quantised or random weights) it is built.

    Raises:
        LorafwError: PEFT cannot read it, or the base is another one.
    """
    if importlib.util.find_spec("peft") is None:
        return reopening.reopened_adapter(folder, builder)
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # tells of kernels nobody asked for
    import peft

    place, own = reopening.place_on(folder, builder), _own_tokenizer(folder)
    base = _base(place, builder, own)
    with quiet(), explained(folder, "the adapter"), warnings.catch_warnings():
        # PEFT 0.21 asks transformers by a name that transformers 5 calls deprecated.
        warnings.simplefilter("ignore", FutureWarning)
        # It applies patterns to target_parameters, yet says that they match no module.
        warnings.filterwarnings("ignore", ".*did not match any targeted module", RuntimeWarning)
        # Weights that were trained as one are written twice, and are the same.
        warnings.filterwarnings("ignore", ".*`ensure_weight_tying` is not set", UserWarning)
        model = peft.PeftModel.from_pretrained(base, str(folder)).eval()
    return Reopened(f"peft {peft.__version__}", partial(reopening.plain_logits, model), own)


def _own_tokenizer(folder: Path) -> Tokenizer | None:
    return load_tokenizer(folder) if (folder / "tokenizer_config.json").is_file() else None


def _base(place: Place, builder: ModelBuilder, tokenizer: Tokenizer | None) -> Any:
    """A transformers model without any adapter.

    Raises:
        LorafwError: it is another one than the adapter was trained on, or reads other ids.
    """
    path = _plain_folder(builder)
    if path is None or not isinstance(builder, TransformersBuilder):
        return reopening.built(place, builder).module
    reopening.check_same_base(place, folders.identity(path))
    check_tokenizer(place, builder.tokenizer())
    model = _from_pretrained(path, builder, place)
    rows = model.get_input_embeddings().num_embeddings
    if tokenizer is not None and len(tokenizer) > rows:  # type: ignore[arg-type]
        with quiet():
            model.resize_token_embeddings(len(tokenizer), mean_resizing=False)  # type: ignore[arg-type]
    return model


def _plain_folder(builder: ModelBuilder) -> Path | None:
    """The folder that transformers reads the base from without any help; None if there is none."""
    if not isinstance(builder, TransformersBuilder) or builder.quantize is not None:
        return None
    path = builder.folder()
    return path if path is not None and is_plain(path) else None


def is_plain(path: Path) -> bool:
    """Whether transformers itself knows the architecture of a folder, and its names of tensors."""
    from transformers import CONFIG_MAPPING

    return folders.model_type(path) in CONFIG_MAPPING


def _from_pretrained(path: Path, builder: TransformersBuilder, place: Place) -> Any:
    import transformers

    classifies = place.task is Task.CLASSIFICATION
    kind: Any = (
        transformers.AutoModelForSequenceClassification
        if classifies
        else transformers.AutoModelForCausalLM
    )
    classes = len(request_for("cpu", place).labels)
    named = {"num_labels": classes} if classifies and classes else {}
    with quiet(), explained(path, "the model"):
        return kind.from_pretrained(
            path,
            dtype=torch_dtype(builder.dtype) or "auto",
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=builder.runs_code(),
            **named,
        ).eval()
