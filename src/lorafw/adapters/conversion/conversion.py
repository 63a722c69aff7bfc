"""From one adapter format to another: written beside, read back, compared, then put in place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from lorafw.adapters.algebra import low_rank
from lorafw.adapters.files.safe_files import sync_file, sync_folder, sync_tree
from lorafw.adapters.layout.digest import adapter_digest
from lorafw.errors import AdapterError, ExportError, UsageError

if TYPE_CHECKING:
    from torch import nn

    from lorafw.contracts.adapter_format import AdapterBase, AdapterFormat
    from lorafw.types import AdapterState


@dataclass(frozen=True, slots=True)
class Written:
    """What was written and what it became.

    Attributes:
        state: the adapter as read back.
        change: the largest change of a module's update, relative to its norm; 0 for the same bits.
    """

    state: AdapterState
    change: float


def write_format(
    state: AdapterState, target: AdapterFormat, out: Path, base: AdapterBase
) -> Written:
    """Write an adapter as a new file or folder, which appears whole or not at all.

    Raises:
        UsageError: something is at `out` already, or its parent is missing.
        AdapterError: the adapter is not finite, not of this base, or not for this format.
        ExportError: what was read back is not what was written.
    """
    _check_place(out)
    _check_finite(state)
    if base.outline is not None:
        check_base(state, base.outline.module)
    try:
        with TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.new-") as name:
            made = Path(name) / out.name
            target.write(state, made, base)
            back = target.read(made, base)
            change = _allowed(largest_change(state, back), target.rounding, out)
            (sync_tree if made.is_dir() else sync_file)(made)
            made.rename(out)
        sync_folder(out.parent)
    except OSError as error:
        raise ExportError(f"cannot be written: {error.strerror}.", where=str(out)) from None
    return Written(back, change)


def _check_place(out: Path) -> None:
    if out.exists() or out.is_symlink():
        mend = "Name another place, or remove it."
        raise UsageError("exists already and is left as it is.", where=str(out), mend=mend)
    if not out.parent.is_dir():
        raise UsageError("there is no such folder.", where=str(out.parent), mend="Make it first.")


def check_base(state: AdapterState, base: nn.Module) -> None:
    """Compare the adapted modules with those of the base; of LoRA, their sizes too.

    Raises:
        AdapterError: the base has no such module, or one of another size.
    """
    modules, parameters = dict(base.named_modules()), base.state_dict().keys()
    for name in state.spec.targets if state.spec.method == "LORA" else ():
        module = modules.get(name)
        if module is None and f"{name}.weight" not in parameters:
            raise AdapterError(f"the base has no module {name}.", mend=_OTHER_BASE)
        _check_sizes(name, module, state)


def _check_sizes(name: str, module: nn.Module | None, state: AdapterState) -> None:
    from lorafw.models.names import is_linear, stores_transposed

    if module is None or not is_linear(module) or module.get_parameter("weight").ndim != 2:
        return
    sizes = tuple(module.get_parameter("weight").shape)
    wanted = sizes[::-1] if stores_transposed(module) else sizes
    if (found := low_rank.factors_of(state, name).shape) != wanted:
        fault = f"the update of {name} is {list(found)}, its weight in the base {list(wanted)}."
        raise AdapterError(fault, mend=_OTHER_BASE)


_OTHER_BASE = "Is it an adapter of another base model?"


def largest_change(old: AdapterState, new: AdapterState) -> float:
    """The largest change of a module's update, relative to its norm; 0 for the same bits.

    What is no factor of LoRA must be the same bits.

    Raises:
        ExportError: something is missing, changed, or there that was not.
    """
    if "LORA" not in {old.spec.method, new.spec.method}:
        if adapter_digest(old) != adapter_digest(new):
            raise ExportError("the adapter read back is not the one written.")
        return 0.0
    if old.spec.method != new.spec.method:
        raise ExportError(f"{old.spec.method} was written, {new.spec.method} is read.")
    _check_others(old, new)
    return max((_change(module, old, new) for module in old.spec.targets), default=0.0)


def _check_others(old: AdapterState, new: AdapterState) -> None:
    """Compare what is no factor of LoRA, and look for updates that were not there."""
    factors = {name for module in old.spec.targets for name in old.spec.pair_of(module)}
    for name in old.tensors.keys() - factors:
        if name not in new.tensors or not new.tensors[name].equal(old.tensors[name]):
            raise ExportError(f"{name} is not what was written.")
    for module in set(new.spec.targets) - set(old.spec.targets):
        if low_rank.update_of(new, module).norm() > 0:
            raise ExportError(f"{module} was not adapted, and is now.")


def _change(module: str, old: AdapterState, new: AdapterState) -> float:
    names = old.spec.pair_of(module)
    if any(name not in new.tensors for name in names):
        raise ExportError(f"the update of {module} is lost.")
    alike = all(old.tensors[name].equal(new.tensors[name]) for name in names)
    if alike and old.spec.scaling_of(module) == new.spec.scaling_of(module):
        return 0.0
    before, after = (low_rank.update_of(state, module) for state in (old, new))
    norm = before.norm()
    difference = low_rank.weighted_sum([before, after], [1.0, -1.0]).norm()
    return difference / norm if norm > 0 else difference


def _allowed(change: float, most: float, out: Path) -> float:
    if change > most:
        fault = f"what was read back differs by {change:.1e} from what was written."
        raise ExportError(fault, where=str(out))
    return change


def _check_finite(state: AdapterState) -> None:
    for name, tensor in state.tensors.items():
        if not tensor.isfinite().all():
            raise AdapterError(f"{name} holds NaN or infinity.")
