"""Adapter format `chatglm`: PEFT's folder under the names of the original ChatGLM code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorafw.contracts.adapter_format import AdapterBase, AdapterFormat
from lorafw.errors import AdapterError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lorafw.types import AdapterState
    from lorafw_glm.key_map import Rows

_MARK = b"transformer.encoder.layers."


class ChatGLMAdapter(AdapterFormat):
    """PEFT's folder for the original ChatGLM2, ChatGLM3 or GLM-4-9B, such as of query_key_value.

    Reading splits the fused update by rows: queries, keys and values share its A. Writing joins
    them again: with one A if all three have the same, or else the three A one below the other and
    B as blocks on the diagonal, of the ranks' sum. Both are exact. A pickle,
    `adapter_model.bin`, is read too.
    """

    @property
    def rounding(self) -> float:
        """Scalings that differ between queries, keys and values are folded into B, in fp32."""
        return 1e-6

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """A folder of PEFT's whose tensors have the original names."""
        from lorafw.adapters.files.tensor_files import names_inside

        files = ("adapter_model.safetensors", "adapter_model.bin")
        found = next((path / name for name in files if (path / name).is_file()), path)
        return (path / "adapter_config.json").is_file() and _MARK in names_inside(found)

    def read(self, path: Path, base: AdapterBase) -> AdapterState:
        """The adapter in the folder, for the base's conversion to transformers' Glm."""
        from lorafw.adapters.conversion.pickled_adapter import read_either
        from lorafw.adapters.conversion.plain_lora import require_plain_lora
        from lorafw_glm.adapter_names import to_glm

        state = read_either(path)
        require_plain_lora(state, "an adapter of the original ChatGLM")
        return to_glm(state, _rows(base))

    def write(self, state: AdapterState, path: Path, base: AdapterBase) -> Sequence[Path]:
        """Make the folder, which PEFT loads onto the original model."""
        from lorafw.adapters.conversion.plain_lora import require_plain_lora

        require_plain_lora(state, "an adapter of the original ChatGLM")
        rows = _rows(base)
        assert base.outline is not None
        names = [name for name, _ in base.outline.module.named_modules()]
        path.mkdir()
        return write_original(
            path, state, rows, modules=names, base_path=base.path, recipe=base.recipe
        )


def write_original(
    folder: Path,
    state: AdapterState,
    rows: Rows,
    *,
    modules: Iterable[str],
    base_path: str | None,
    recipe: Mapping[str, Any],
) -> Sequence[Path]:
    """Write an adapter of a Glm as one of the original, into an existing folder.

    Args:
        folder: where the files go.
        state: under the names of Glm.
        rows: of the original's fused linear.
        modules: the names of all modules of the Glm.
        base_path: where PEFT finds the original, if it is known.
        recipe: as `write_adapter` takes it.

    Raises:
        AdapterError: a module has no counterpart in the original.
        ExportError: what was read back is not what was written.
    """
    from lorafw.adapters.layout.peft_layout import adapter_digest, read_adapter, write_adapter
    from lorafw.errors import ExportError
    from lorafw_glm.adapter_names import to_original
    from lorafw_glm.key_map import original_module

    original = to_original(state, rows)
    names = {name for name in map(original_module, modules) if name}
    files = write_adapter(folder, original, base_path=base_path, recipe=recipe, modules=names)
    if adapter_digest(read_adapter(folder)) != adapter_digest(original):
        raise ExportError("the adapter read back is not the one written.", where=str(folder))
    return files


def _rows(base: AdapterBase) -> Rows:
    from lorafw_glm.key_map import Rows

    base.needed("know which rows are queries, keys and values")
    module: Any = None if base.outline is None else base.outline.module
    config = getattr(module, "config", None)
    if getattr(config, "model_type", "") != "glm":
        family = getattr(config, "model_type", "unknown")
        fault = f"the base is a model of type {family!r}; only 'glm' has names of ChatGLM."
        raise AdapterError(fault, mend="Is --base the right one?")
    assert config is not None
    return Rows.of(config.to_dict())
