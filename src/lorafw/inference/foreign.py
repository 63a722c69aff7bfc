"""Adapters that other tools wrote in formats of their own, read for a base that is built."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from lorafw.assembly.adapter_formats import foreign_format, make_format
from lorafw.assembly.registry import Registry
from lorafw.contracts.adapter_format import AdapterBase
from lorafw.errors import AdapterError

if TYPE_CHECKING:
    from lorafw.contracts.model import ModelBuilder, ModelBundle
    from lorafw.inference.place import Place
    from lorafw.types import AdapterState


def foreign_state(place: Place, bundle: ModelBundle) -> AdapterState | None:
    """The adapter at a place in canonical names; None if it is in lorafw's own format.

    Args:
        place: an adapter's.
        bundle: its base, which nothing was injected into yet.

    Raises:
        AdapterError: the files are damaged, or the adapter is of another base.
    """
    from lorafw.adapters.conversion.conversion import check_base

    assert place.adapter is not None
    registry = Registry()
    name = foreign_format(registry, place.adapter)
    if name is None:
        return None
    options = {key: value for key, value in place.model.items() if key != "use"}
    kind = cast("type[ModelBuilder]", registry.load("model", place.model["use"]))
    base = AdapterBase(kind.from_mapping(options, where="model"), task=place.task)
    state = make_format(registry, name, {}, where="adapter_format").read(place.adapter, base)
    try:
        check_base(state, bundle.module)
    except AdapterError as error:
        raise AdapterError(error.what, where=str(place.adapter), mend=error.mend) from None
    return state
