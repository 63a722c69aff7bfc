"""Adapter format `trace`: the LoRA layer of TRACE's own code, and of DeepSpeed-Chat's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from lorafw.contracts.adapter_format import AdapterBase, AdapterFormat

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from lorafw.types import AdapterState

_FUSED = (
    "The weights in this file have the update folded in: put the adapter on the base, never on "
    "them, or it acts twice."
)
_RIGHT, _LEFT = ".lora_right_weight", ".lora_left_weight"


class Trace(AdapterFormat):
    """TRACE's own LoRA layer: `lora_right_weight` and `lora_left_weight` in a state dict.

    A file, .bin, .pt, .pth or .safetensors. The layer adds (x · right) · left times
    lora_scaling / lora_dim, so a module's alpha is lora_scaling, which no file holds. Next to the
    two lies the layer's weight, which may have the update folded in already: read with the base
    known, it is compared with the base's and must be one or the other.
    """

    lora_scaling: float = Field(
        1.0,
        gt=0,
        description="What the layer was made with: its update counts lora_scaling / lora_dim "
        "times, lora_dim being the rank; 1 is what TRACE's code takes.",
    )

    @property
    def rounding(self) -> float:
        """The scaling of an adapter is folded into `left`, in fp32."""
        return 1e-6

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """A file of tensors one of which is called `lora_right_weight`."""
        from lorafw.adapters.files.tensor_files import names_inside

        return _RIGHT.encode() in names_inside(path)

    def read(self, path: Path, base: AdapterBase) -> AdapterState:
        """The adapter in the file.

        Raises:
            AdapterError: as the contract says; or there are weights beside it that are neither
                the base's nor the base's with this update.
        """
        from lorafw.adapters.conversion.plain_lora import state_of_pairs
        from lorafw.adapters.files.tensor_files import plain_tensors
        from lorafw.builtin.adapter_formats._fused import check_weights

        stored = plain_tensors(path)
        state = state_of_pairs(_pairs(stored, path), alpha=self.lora_scaling, where=str(path))
        check_weights(state, stored, base, path)
        return state

    def write(
        self,
        state: AdapterState,
        path: Path,
        base: AdapterBase,  # noqa: ARG002 - names are the base's own
    ) -> Sequence[Path]:
        """Write a file of the LoRA tensors alone; their scaling is folded into `left`."""
        from lorafw.adapters.conversion.plain_lora import require_plain_lora
        from lorafw.adapters.files.safe_tensors import write_tensors
        from lorafw.adapters.files.tensor_files import write_pickle

        require_plain_lora(state, "a TRACE file")
        tensors = dict(item for module in state.spec.targets for item in self._named(module, state))
        if path.suffix == ".safetensors":
            write_tensors(path, tensors)
        else:
            write_pickle(path, tensors)
        return [path]

    def remarks(self, path: Path, base: AdapterBase) -> Sequence[str]:
        """That the weights beside the adapter hold its update already, if they do."""
        from lorafw.adapters.files.tensor_files import plain_tensors
        from lorafw.builtin.adapter_formats._fused import is_fused

        if not is_fused(self.read(path, base), plain_tensors(path), base):
            return ()
        return (_FUSED,)

    def _named(self, module: str, state: AdapterState) -> tuple[tuple[str, Tensor], ...]:
        down, up = (state.tensors[name].float() for name in state.spec.pair_of(module))
        factor = state.spec.scaling_of(module) * len(down) / self.lora_scaling
        left = (up.T if factor == 1 else up.T * factor).contiguous()
        return (module + _RIGHT, down.T.contiguous()), (module + _LEFT, left)


def _pairs(stored: Mapping[str, Tensor], path: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """A and B by the module's name."""
    from lorafw.errors import AdapterError

    modules = dict.fromkeys(
        name.removesuffix(end) for name in stored for end in (_RIGHT, _LEFT) if name.endswith(end)
    )
    for name in (module + end for module in modules for end in (_RIGHT, _LEFT)):
        if name not in stored or stored[name].ndim != 2:
            fault = "lacks" if name not in stored else "holds no matrix"
            raise AdapterError(f"{fault} {name}.", where=str(path))
    return {m: (stored[m + _RIGHT].T, stored[m + _LEFT].T) for m in modules}
