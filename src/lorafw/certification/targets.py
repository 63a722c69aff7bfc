"""Which exports are asked for, and where they shall appear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from lorafw.assembly.registry import Registry
from lorafw.assembly.yaml_source import parse_value
from lorafw.certification.certificate import CERTIFICATE
from lorafw.errors import UsageError
from lorafw.inference.loading import part

if TYPE_CHECKING:
    from lorafw.contracts.exporter import Exporter

_SIGNS = (CERTIFICATE, "lorafw.json", "adapter_config.json", "config.json")
"""Files by which a folder shows that it is a model, which may be replaced."""


@dataclass(frozen=True, slots=True)
class Target:
    """One export that is asked for.

    Attributes:
        name: what the exporter is called.
        exporter: with its options.
        final: the folder that shall appear.
    """

    name: str
    exporter: Exporter
    final: Path


def parsed(text: str) -> tuple[str, dict[str, Any]]:
    """An exporter's name and options from `NAME` or `NAME:key=value,key=value`.

    >>> parsed("merged:dtype=bf16,max_shard_size=5GB")
    ('merged', {'dtype': 'bf16', 'max_shard_size': '5GB'})

    Raises:
        UsageError: it has another form.
    """
    name, _, rest = text.partition(":")
    head = rest.partition(":")
    if "=" not in head[0] and ("." in name or head[0][:1].isupper()):  # the path of a class
        name, rest = f"{name}:{head[0]}", head[2]
    options = {}
    for assignment in filter(None, rest.split(",")):
        key, equals, value = assignment.partition("=")
        if not (key and equals):
            mend = "Write NAME or NAME:key=value,key=value."
            raise UsageError(f"{assignment!r} is not key=value.", where=f"--to {text}", mend=mend)
        options[key] = parse_value(value, f"--to {text}")
    return name, options


def targets_of(
    wishes: Sequence[str], source: Path, out: Path | None, *, accept_loss: bool, force: bool
) -> list[Target]:
    """What is asked for, every part of it possible as far as one can tell without a model.

    Args:
        wishes: as `parsed` reads them.
        source: what is exported; the folder of a run takes exports as the run itself would.
        out: the folder to write; of several exports, the folder in which each has its own.
        accept_loss: set that option of every exporter.
        force: replace an export that is there.

    Raises:
        UsageError: one is asked for twice, has no place, or its place is taken.
        PluginError: there is no such exporter.
        ConfigError: an option is wrong.
    """
    registry = Registry()
    found: list[Target] = []
    for wish in wishes:
        name, options = parsed(wish)
        given = {**options, **({"accept_loss": True} if accept_loss else {})}
        section = {"use": name, **given}
        exporter = cast("Exporter", part(registry, "exporter", section))
        exporter.preflight()
        final = _place(name, source, out, alone=len(wishes) == 1)
        if any(final == other.final for other in found):
            raise UsageError(f"'{name}' is asked for twice.", where="--to")
        _check_free(final, force=force)
        found.append(Target(name, exporter, final))
    return found


def _place(name: str, source: Path, out: Path | None, *, alone: bool) -> Path:
    plain = name.replace(":", "/").rpartition("/")[2]
    if out is not None:
        return out if alone else out / plain
    if (source / "run.yaml").is_file():
        return source / plain
    raise UsageError("nothing says where to write.", mend="Give a folder: --out DIR")


def _check_free(final: Path, *, force: bool) -> None:
    if final.is_file():
        raise UsageError("is a file.", where=str(final), mend="Name a folder: --out DIR")
    above = next(parent for parent in final.resolve().parents if parent.exists())
    if not above.is_dir():
        raise UsageError("is a file.", where=str(above), mend="Choose another with --out.")
    if not final.exists():
        return
    if not force:
        mend = "Choose another with --out, or replace it with --force."
        raise UsageError("is there already.", where=str(final), mend=mend)
    if any(final.iterdir()) and not any((final / sign).is_file() for sign in _SIGNS):
        raise UsageError("is no export, so --force does not replace it.", where=str(final))
