"""From paths to the models that are served."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorafw.errors import AdapterError, UsageError
from lorafw.inference.loaded import TUNED
from lorafw.inference.loading import load
from lorafw.inference.place import Place, find
from lorafw.inference.set_loading import load_set
from lorafw.serving.catalogue import Catalogue
from lorafw.types import Task

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch

    from lorafw.inference.adapter_set import AdapterSet

_FOLDERS_OF_RUNS = ("adapter", "merged")
"""Folders that are called after what they hold; the folder above has a name of its own."""


@dataclass(frozen=True, slots=True)
class _Offered:
    """A model as the user named it, and what was found there."""

    name: str
    path: str
    place: Place


def load_catalogue(
    path: str,
    adapters: Sequence[tuple[str, str]] = (),
    *,
    base: str | None = None,
    name: str | None = None,
    device: str | torch.device | None = None,
    options: Mapping[str, Any] | None = None,
) -> Catalogue:
    """Load a base and its adapters.

    Args:
        path: the folder of a run, of an adapter, of a merged or of a base model; `lorafw:demo`, or
            a hub id.
        adapters: names and folders of adapters of the same base.
        base: path of the base, if what is at `path` is an adapter and its base is not where it was.
        name: what clients call the model at `path`; by default its folder's name. A base that
            was given none is called `…-base` if an adapter has its name.
        device: such as `cpu` or `cuda:0`; by default the first GPU, if there is one.
        options: of the base's builder, besides those that are written down.

    Raises:
        AdapterError: an adapter is damaged, of another base, or cannot share it.
        ModelError: the base is damaged.
        PluginError: a part that the base or an adapter was made with is not installed.
        UsageError: it is a classifier, or two models would have the same name.
    """
    place = find(path, base=base, options=options)
    called, below = name or _name_of(path), str(place.model.get("path", "base"))
    tuned = place.adapter is not None
    offered = [_Offered(called, path, place)] if tuned else []
    for known_as, where in adapters:
        offered.append(_Offered(known_as, where, find(where, base=below, options=options)))
    names = [each.name for each in offered]
    base_name = _name_of(below) if tuned else called
    if base_name in names and (tuned or name is None):  # as of `lorafw demo`, whose base is a demo
        base_name += "-base"
    _refuse_twins([base_name, *names])
    for each in (_Offered(called, path, place), *offered):
        _refuse_classifier(each)
    try:
        return _together(base_name, place, offered, device)
    except AdapterError:
        if len(offered) != 1:
            raise
    (single,) = offered  # a method that cannot share its base, unless it is refused again
    alone = load(single.path, base=base if tuned else below, device=device, options=options)
    return Catalogue(alone, {base_name: None, single.name: TUNED})


def _together(
    base_name: str, base: Place, offered: Sequence[_Offered], device: str | torch.device | None
) -> Catalogue:
    """All on one base; requests of several share a batch if they can."""
    loaded = load_set(base, {each.name: each.place for each in offered}, device=device)
    loaded.mixed = not offered or _can_be_mixed(loaded)
    return Catalogue(loaded, {base_name: None, **{each.name: each.name for each in offered}})


def _name_of(path: str) -> str:
    """The last word of a path that says more than what kind of thing lies there."""
    if path.startswith("lorafw:"):
        return path.removeprefix("lorafw:")
    place = Path(path).expanduser()
    place = place.resolve() if place.exists() else place
    if place.name in _FOLDERS_OF_RUNS:
        place = place.parent
    return place.stem if place.is_file() else place.name


def _refuse_classifier(offered: _Offered) -> None:
    if offered.place.task is not Task.CAUSAL_LM:
        fault = "is a classifier; only models that generate text are served."
        mend = "Ask it with lorafw.load(…).classify(…)."
        raise UsageError(fault, where=offered.path, mend=mend)


def _refuse_twins(names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            mend = "Give another name: --name NAME, or --adapter NAME=PATH."
            raise UsageError(f"two models would be called {name!r}.", mend=mend)


def _can_be_mixed(together: AdapterSet) -> bool:
    """Whether requests of several adapters may share a batch: not where experts are adapted."""
    row: list[Any] = list(range(1, 9))
    asked: Mapping[str, None] = dict.fromkeys(together.names)
    try:
        together.logits([row] * (len(asked) + 1), [None, *asked])
    except AdapterError:
        return False
    return True
