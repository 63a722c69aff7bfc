"""Names and row orders of tensors: transformers' and llama.cpp's."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import gguf

from lorafw.errors import ExportError

if TYPE_CHECKING:
    from torch import Tensor

    from lorafw_gguf.families import Family

EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
TOKEN_EMBD, OUTPUT, ROPE_FREQS = "token_embd.weight", "output.weight", "rope_freqs.weight"
_SUFFIXES = (".weight", ".bias")


class Names:
    """llama.cpp's names of one model's tensors, and the order of their rows.

    Args:
        family: of the model.
        config: its transformers config.
    """

    def __init__(self, family: Family, config: Any) -> None:
        self._family, self._layers = family, int(config.num_hidden_layers)
        self._heads = {
            ".q_proj.": int(config.num_attention_heads),
            ".k_proj.": int(config.num_key_value_heads),
        }

    def __call__(self, name: str) -> str:
        """llama.cpp's name of a tensor.

        Raises:
            ExportError: it has none.
        """
        found = _name_map(self._family.architecture, self._layers).get_name(name, _SUFFIXES)
        if found is None:
            raise ExportError(f"llama.cpp has no tensor for {name}.")
        return str(found)

    def ordered(self, name: str, tensor: Tensor) -> Tensor:
        """A tensor [out, ...] with its rows in llama.cpp's order; `name` is transformers'."""
        heads = self._rotated(name)
        if heads is None:
            return tensor
        halves = tensor.reshape(heads, 2, tensor.shape[0] // heads // 2, *tensor.shape[1:])
        return halves.transpose(1, 2).reshape(tensor.shape)

    def restored(self, name: str, tensor: Tensor) -> Tensor:
        """The inverse of `ordered`."""
        heads = self._rotated(name)
        if heads is None:
            return tensor
        pairs = tensor.reshape(heads, tensor.shape[0] // heads // 2, 2, *tensor.shape[1:])
        return pairs.transpose(1, 2).reshape(tensor.shape)

    def _rotated(self, name: str) -> int | None:
        """How many heads a tensor's rows belong to, if their order differs."""
        if not self._family.interleaved:
            return None
        return next((heads for part, heads in self._heads.items() if part in name), None)


@cache
def _name_map(architecture: str, layers: int) -> gguf.TensorNameMap:
    arch = next(key for key, name in gguf.MODEL_ARCH_NAMES.items() if name == architecture)
    return gguf.get_tensor_name_map(arch, layers)
