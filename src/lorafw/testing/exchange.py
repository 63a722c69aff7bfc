"""Handing an adapter on: to the other installed injectors, and to plain PEFT."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

from lorafw.adapters.layout.peft_layout import write_adapter
from lorafw.assembly.registry import Registry
from lorafw.errors import AdapterError
from lorafw.models.names import stores_transposed
from lorafw.testing.promise import NotPromised
from lorafw.types import Layout

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from lorafw.contracts import AdaptedModel, LoRAInjector, ModelBundle
    from lorafw.types import AdapterSpec, Encoded


def other_injectors(
    injector: LoRAInjector, spec: AdapterSpec
) -> Iterator[tuple[str, LoRAInjector]]:
    """The installed injectors of other classes that can make this very adapter, by name.

    Raises:
        NotPromised: there is none.
    """
    found, registry = False, Registry()
    for name in registry.names("injector"):
        kind = cast("type[LoRAInjector]", registry.load("injector", name))
        if kind is type(injector):
            continue
        try:
            heir = kind().for_spec(spec)
        except AdapterError:  # the contract lets an injector say that it cannot
            continue
        found = True
        yield name, heir
    if not found:
        raise NotPromised("no other injector is installed that makes such an adapter")


def load_with_peft(base: ModelBundle, model: AdaptedModel, folder: Path) -> Any:
    """Write the adapter and let PEFT, knowing only the folder, put it into `base`.

    Returns:
        PEFT's model around the base's module; see `peft_logits`.

    Raises:
        NotPromised: PEFT is not installed.
    """
    if importlib.util.find_spec("peft") is None:
        raise NotPromised("peft is not installed")
    from peft import PeftModel

    module: Any = base.module
    names = [name for name, _ in module.named_modules()]
    transposed = any(map(stores_transposed, module.modules()))
    write_adapter(
        folder,
        model.state(),
        base_path=None,
        recipe={},
        modules=names,
        fan_in_fan_out=transposed,
        task=model.bundle.task,
    )
    with warnings.catch_warnings():
        # PEFT 0.21 asks transformers by a name that transformers 5 calls deprecated.
        warnings.simplefilter("ignore", FutureWarning)
        # It applies patterns to target_parameters, yet says that they match no module.
        warnings.filterwarnings("ignore", ".*did not match any targeted module", RuntimeWarning)
        # Weights that were trained as one are written twice, and are the same.
        warnings.filterwarnings("ignore", ".*`ensure_weight_tying` is not set", UserWarning)
        return PeftModel.from_pretrained(module, str(folder)).eval()


def peft_logits(loaded: Any, base: ModelBundle, rows: Sequence[Encoded]) -> Tensor:
    """Logits of all tokens of some rows, padding left out, as PEFT computes them: fp32.

    A learned prompt is put in front of the tokens by PEFT's own forward pass; any other adapter
    lies in the base's modules.
    """
    import torch

    from lorafw.testing.toys import ToyEncoder
    from lorafw.testing.values import logits_of

    if not loaded.active_peft_config.is_prompt_learning:
        return logits_of(base, rows)
    inputs = ToyEncoder().collate(rows, Layout.PADDED, base.pad_id).inputs
    with torch.no_grad():
        found: Tensor = loaded(**inputs).logits.float()
    return found[:, -inputs["input_ids"].shape[1] :][inputs["attention_mask"].bool()]
