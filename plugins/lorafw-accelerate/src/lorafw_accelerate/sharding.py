"""How parameters are shared among ranks: the trainer's options and what Accelerate was told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lorafw.errors import ConfigError
from lorafw_accelerate.told import Told

_UNSET = {"fsdp": False, "reshard_after_forward": True, "cpu_offload": False}


@dataclass(frozen=True, slots=True)
class Sharding:
    """What FSDP2 is told.

    Attributes:
        reshard_after_forward: a layer's whole weights are dropped after its forward pass, and
            gathered again for its backward pass.
        cpu_offload: pieces, and the optimizer's work on them, stay in the CPU's memory.
        layers: classes of what is gathered together; empty for the model's layers.
    """

    reshard_after_forward: bool = True
    cpu_offload: bool = False
    layers: tuple[str, ...] = ()


def settled(options: Mapping[str, bool | None], sources: Sequence[Told]) -> Sharding | None:
    """How parameters are shared; None if every rank holds all of them.

    Args:
        options: the trainer's, by name; None where it leaves one to the sources.
        sources: what Accelerate was told elsewhere.

    Raises:
        ConfigError: they contradict each other, or ask for what cannot be had.
    """
    refuse({told.place: list(told.conflicts()) for told in sources})
    said = {name: dict(_sayings(name, options[name], sources)) for name in options}
    for name, sayings in said.items():
        if len(set(sayings.values())) > 1:
            told = "; ".join(sayings)
            raise ConfigError(
                f"{told}. Make them agree, or leave one out.", where=f"trainer.{name}"
            )
    chosen = {name: next(iter(said[name].values()), unset) for name, unset in _UNSET.items()}
    if chosen.pop("fsdp"):
        return Sharding(**chosen, layers=next(filter(None, (t.layers for t in sources)), ()))
    for name in chosen:
        if options[name] is not None:
            mend = "Set trainer.fsdp to true, or leave this option out."
            raise ConfigError("is for sharded parameters.", where=f"trainer.{name}", mend=mend)
    return None


def refuse(conflicts: Mapping[str, Sequence[str]]) -> None:
    """Tell of all conflicts at once.

    Args:
        conflicts: sentences by the place they are about.

    Raises:
        ConfigError: there are any.
    """
    places = [place for place, found in conflicts.items() if found]
    if not places:
        return
    first, *rest = places
    told = [*conflicts[first], *(f"In {p}: {' '.join(conflicts[p])}" for p in rest)]
    raise ConfigError(" ".join(told), where=first)


def _sayings(name: str, option: bool | None, sources: Sequence[Told]) -> Iterator[tuple[str, bool]]:
    """Who sets an option to what."""
    if option is not None:
        yield f"trainer.{name} is {str(option).lower()}", option
    for told in sources:
        for key, value, how in told.options():
            if key == name:
                yield f"in {told.place}, {how}", value
