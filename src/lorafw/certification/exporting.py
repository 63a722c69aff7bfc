"""Exports after the fact: written while the model is in memory, compared when it is gone."""

from __future__ import annotations

import gc
import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from safetensors import SafetensorError

from lorafw.adapters.files.safe_files import clear_drafts, put_in_place, staged
from lorafw.certification.certify import Written, can_be_opened, certify
from lorafw.errors import ExportError, LorafwError
from lorafw.training.guards.room import readable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from lorafw.certification.certificate import Certificate
    from lorafw.certification.live import Live
    from lorafw.certification.targets import Target
    from lorafw.certification.witness import Witness

_MARGIN = 1.02
"""Headers, configs, and blocks that are not full."""


@dataclass(frozen=True, slots=True)
class Exported:
    """How one export ended.

    Attributes:
        target: what was asked for.
        certificate: what it was given; None if it failed.
        fault: why it failed; None if it did not.
    """

    target: Target
    certificate: Certificate | None = None
    fault: LorafwError | None = None


def export_all(
    targets: Sequence[Target], load: Callable[[], Live], tell: Callable[[str], None]
) -> Iterator[Exported]:
    """Load a model, write its exports, let it go, and then certify and publish one by one.

    So memory holds the trained model or an export of it, never both. An export that fails leaves
    nothing, and does not keep the others from being published. What holds no model itself, such as
    a model card, speaks of the others: it comes after them, if none of them failed.

    Args:
        targets: what is asked for.
        load: gives the model; called again for exports that come after others.
        tell: is told what is being done.

    Raises:
        LorafwError: the model cannot be loaded, or there is too little room on the disk.
    """
    models = [target for target in targets if can_be_opened(target.exporter)]
    about = [target for target in targets if not can_be_opened(target.exporter)]
    failed = False
    for done in _exported(models, load, tell):
        failed |= done.fault is not None
        yield done
    if failed:
        fault = "is not written, for it would speak of an export that failed."
        yield from (Exported(t, fault=ExportError(fault, where=str(t.final))) for t in about)
    else:
        yield from _exported(about, load, tell)


def _exported(
    targets: Sequence[Target], load: Callable[[], Live], tell: Callable[[str], None]
) -> Iterator[Exported]:
    if not targets:
        return
    with ExitStack() as stack:
        tell("loading the model")
        written = _write_all(stack, targets, load(), tell)
        gc.collect()  # modules and their hooks refer to each other
        for draft in written:
            if isinstance(draft, Exported):
                yield draft
            else:
                tell(f"comparing {draft.target.name}")
                yield _published(draft)


@dataclass(frozen=True, slots=True)
class _Draft:
    target: Target
    folder: Path
    written: Written
    witness: Witness | None


def _write_all(
    stack: ExitStack, targets: Sequence[Target], live: Live, tell: Callable[[str], None]
) -> list[_Draft | Exported]:
    for target in targets:
        clear_drafts(target.final)
    _check_room(targets, live)
    drafts: list[_Draft | Exported] = []
    for target in targets:
        tell(f"writing {target.name}")
        try:
            drafts.append(_write(stack, target, live))
        except LorafwError as error:
            drafts.append(Exported(target, fault=error))
    return drafts


def _write(stack: ExitStack, target: Target, live: Live) -> _Draft:
    """Fill a folder that goes with the stack, unless it has its final name by then."""
    try:
        folder = stack.enter_context(staged(target.final))
        written = live.write(target.exporter, folder)
    except (OSError, SafetensorError) as error:
        raise _unwritten(target, error) from error
    return _Draft(target, folder, written, live.witness_for(target.exporter))


def _published(draft: _Draft) -> Exported:
    target = draft.target
    try:
        certificate = certify(draft.written, draft.witness, draft.folder, target.final)
        put_in_place(draft.folder, target.final)
        clear_drafts(target.final)
    except LorafwError as error:
        return Exported(target, fault=error)
    except (OSError, SafetensorError) as error:
        return Exported(target, fault=_unwritten(target, error))
    return Exported(target, certificate)


def _unwritten(target: Target, error: Exception) -> ExportError:
    told = error.strerror if isinstance(error, OSError) and error.strerror else error
    return ExportError(f"cannot be written: {told}.", where=str(target.final))


def _check_room(targets: Sequence[Target], live: Live) -> None:
    """Raise ExportError if the disk surely has too little room."""
    needed: dict[Path, int] = {}
    for target in targets:
        place = target.final.resolve()
        there = next(parent for parent in place.parents if parent.exists())
        size = target.exporter.expected_bytes(live.request)
        needed[there] = needed.get(there, 0) + int(size * _MARGIN)
    for there, size in needed.items():
        free = shutil.disk_usage(there).free
        if size > free:
            fault = f"the exports need about {readable(size)}, and {readable(free)} are free."
            raise ExportError(fault, where=str(there), mend="Make room, or choose another --out.")
