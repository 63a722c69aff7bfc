"""Handing an adapter on: to the other installed injectors, and to plain PEFT."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from lorafw.adapters.peft_layout import write_adapter
from lorafw.assembly.registry import Registry
from lorafw.errors import AdapterError
from lorafw.models.names import stores_transposed
from lorafw.testing.promise import NotPromised

if TYPE_CHECKING:
    from pathlib import Path

    from lorafw.contracts import AdaptedModel, LoRAInjector, ModelBundle
    from lorafw.types import AdapterSpec


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


def load_with_peft(base: ModelBundle, model: AdaptedModel, folder: Path) -> None:
    """Write the adapter and let PEFT, knowing only the folder, put it into `base`.

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
        PeftModel.from_pretrained(module, str(folder)).eval()
