"""Training passes that start at the lowest adapted layer once its input is known.

What enters that layer depends on the micro-batch alone, so it is kept by what is in it: the bytes
of the inputs. It is also rounded as this micro-batch rounds it, which is why a plan must have the
same micro-batches in every epoch for this to serve.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor

from lorafw.contracts.engine import World
from lorafw.contracts.model import Hidden
from lorafw.contracts.trainer import TrainJob
from lorafw.data.encoded.packed import lengths_of
from lorafw.errors import TrainingError
from lorafw.training.guards.room import checkpoints_bytes, readable
from lorafw.training.prefix.lowest import OPTION, is_not_all, lowest_layers
from lorafw.training.prefix.passed_over import Prefix
from lorafw.training.prefix.row_file import RowFile

_DIGEST = 16
_TRIED = 64
"""Tokens on which it is proved that the lower layers can be passed over."""
_FREE = 1 << 26
"""Bytes of the disk that are left for logs and for others, beside those for checkpoints."""


class FrozenPrefix:
    """The prefix of one fit; nothing at all if the job wants none kept.

    Args:
        job: what is trained.
        world: this process among its peers; each keeps what its own micro-batches need.

    Raises:
        ConfigError: this model, so adapted, has no prefix that could be kept.
    """

    def __init__(self, job: TrainJob, world: World) -> None:
        self._job, self._world = job, world
        self._kept: RowFile | None = None
        self._proved = False
        if job.prefix_cache is not None:
            self._prefix = Prefix(lowest_layers(job.model))

    @contextmanager
    def opened(self) -> Iterator[None]:
        """While open, there is a file to keep things in; it is gone afterwards.

        Raises:
            TrainingError: none can be made.
        """
        if self._job.prefix_cache is None:
            yield
            return
        if self._job.plan.epochs == 1:
            self._tell(f"{OPTION} does nothing here: plan.epochs is 1.")
            yield
            return
        with self._file() as kept:
            self._kept = kept
            try:
                yield
            finally:
                self._kept = None

    @contextmanager
    def used(self, inputs: Mapping[str, Tensor]) -> Iterator[None]:
        """Surrounds a training pass over one micro-batch, whose prefix is kept or passed over.

        Raises:
            ConfigError: the upper layers need more of the lower ones than what they hand on, or
                something before the first layer is trained.
        """
        kept = self._kept
        if kept is None:
            yield
            return
        if not self._proved:
            self._prove(beginning_of(inputs))
        key = digest_of(inputs)
        with (
            self._prefix.passed_over(partial(kept.read, key))
            if key in kept
            else self._prefix.computed(partial(kept.add, key))
        ):
            yield

    def _file(self) -> RowFile:
        folder = self._job.prefix_cache
        assert folder is not None
        try:
            return RowFile(folder, checkpoints_bytes(self._job) + _FREE, self._complain)
        except OSError as error:
            fault = f"no file can be made in {folder}: {error.strerror}."
            raise TrainingError(fault, where=OPTION, mend="Choose another --output.") from error

    def _prove(self, inputs: Mapping[str, Tensor]) -> None:
        """See that passing the lower layers over leaves the model's output as it is, to the bit."""
        kept: list[Tensor] = []
        with self._as_measured():
            with self._prefix.computed(lambda rows: kept.append(rows.clone())):
                whole = self._job.model.bundle.hidden(inputs)
            if len(kept) != 1 or not _agree(whole, self._short(inputs, kept[0])):
                raise is_not_all()
        self._proved = True
        self._tell(self._announcement(kept[0]))

    @contextmanager
    def _as_measured(self) -> Iterator[None]:
        """While open, there are no gradients and no dropout; what is drawn is drawn again."""
        devices = [self._world.device] if self._world.device.type == "cuda" else []
        self._job.model.train(mode=False)
        try:
            with torch.no_grad(), torch.random.fork_rng(devices):
                yield
        finally:
            self._job.model.train(mode=True)

    def _short(self, inputs: Mapping[str, Tensor], rows: Tensor) -> Hidden:
        """The model's output without the lower layers."""
        try:
            with self._prefix.passed_over(lambda _: rows):
                return self._job.model.bundle.hidden(inputs)
        except (LookupError, AttributeError, TypeError, ValueError) as error:
            raise is_not_all() from error

    def _announcement(self, rows: Tensor) -> str:
        tokens = sum(lengths_of(self._job.rows))
        size = readable(tokens * rows.shape[-1] * rows.element_size())
        lowest = len(self._prefix)
        below = "Layer 0 is" if lowest == 1 else f"Layers 0 to {lowest - 1} are"
        kept = f"what enters layer {lowest} is kept on disk, about {size}"
        return f"{below} computed in the first epoch only; {kept}."

    def _complain(self, why: str) -> None:
        self._tell(
            f"What enters layer {len(self._prefix)} is kept no further ({why}): the result stays "
            "the same, but of other micro-batches all layers are computed in every epoch."
        )

    def _tell(self, message: str) -> None:
        if self._world.rank == 0:
            self._job.emit("notice", message=message)


def beginning_of(inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The first tokens of a batch's first row, in the batch's layout."""
    if "cu_seqlens" not in inputs:
        return {name: tensor[:1, :_TRIED] for name, tensor in inputs.items()}
    ends = inputs["cu_seqlens"][:2].clamp(max=_TRIED)
    cut = {name: tensor[: int(ends[1])] for name, tensor in inputs.items()}
    return {**cut, "cu_seqlens": ends}


def digest_of(inputs: Mapping[str, Tensor]) -> bytes:
    """16 bytes that stand for all tensors of a batch: names, dtypes, shapes and numbers."""
    state = hashlib.blake2b(digest_size=_DIGEST)
    for name, tensor in sorted(inputs.items()):
        state.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        state.update(tensor.cpu().numpy().tobytes())
    return state.digest()


def _agree(whole: Hidden, short: Hidden) -> bool:
    return _same(whole.rows, short.rows) and _same(whole.auxiliary, short.auxiliary)


def _same(one: Tensor | None, other: Tensor | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.shape == other.shape and torch.allclose(one, other, rtol=0, atol=0, equal_nan=True)
