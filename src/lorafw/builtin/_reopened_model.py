"""A merged model opened by transformers alone, or by its family's own code."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from lorafw.builtin._reopened_adapter import is_plain
from lorafw.contracts.exporter import Reopened
from lorafw.inference import reopening
from lorafw.models import folder as folders
from lorafw.models.loading import check_report, explained, load_tokenizer, quiet

if TYPE_CHECKING:
    from pathlib import Path

    from lorafw.contracts.model import ModelBuilder


def reopened_model(folder: Path, builder: ModelBuilder) -> Reopened:
    """Open a merged model; of the base's builder no more is asked than its family.

    Raises:
        LorafwError: transformers, or for architectures it does not know lorafw, cannot read it.
    """
    runs_code = bool(getattr(builder, "trust_remote_code", False))
    if not (is_plain(folder) or runs_code):
        family = type(builder).from_mapping({"path": str(folder)}, where="model")
        return reopening.reopened_model(family)
    import transformers

    model = _load(folder, runs_code=runs_code)
    tokenizer = load_tokenizer(folder, trust_remote_code=runs_code)
    logits = partial(reopening.plain_logits, model)
    tool = f"transformers {transformers.__version__}"
    return Reopened(tool, logits, tokenizer, _tied(model))


def _load(folder: Path, *, runs_code: bool) -> Any:
    import transformers

    names = folders.read_json(folder / "config.json").get("architectures") or ()
    classifies = any(str(name).endswith("ForSequenceClassification") for name in names)
    kind: Any = (
        transformers.AutoModelForSequenceClassification
        if classifies
        else transformers.AutoModelForCausalLM
    )
    with quiet(), explained(folder, "the merged model"):
        model, report = kind.from_pretrained(
            folder,
            dtype="auto",
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=runs_code,
            output_loading_info=True,
        )
    check_report(report, folder)
    return model.eval()


def _tied(model: Any) -> bool | None:
    head = model.get_output_embeddings()
    weight = getattr(head, "weight", None)
    return None if weight is None else bool(weight is model.get_input_embeddings().weight)
