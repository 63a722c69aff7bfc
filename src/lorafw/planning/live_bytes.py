"""How many bytes of tensors are alive, and how many there were at most."""

from __future__ import annotations

import weakref

from torch import Tensor


class LiveBytes:
    """Counts every storage once, from the first tensor that shows it until the last is gone.

    Attributes:
        now: bytes alive.
        peak: the most there were since `restart`.
    """

    def __init__(self) -> None:
        self.now = self.peak = 0
        self._known: dict[int, weakref.ref[object]] = {}

    def note(self, tensor: Tensor) -> None:
        """A tensor is there."""
        storage = tensor.untyped_storage()
        key = storage._cdata  # noqa: SLF001 - the address of the memory's owner, whoever shows it
        if key in self._known:
            return
        size = storage.nbytes()
        self._known[key] = weakref.ref(storage, lambda _: self._gone(key, size))
        self.now += size
        self.peak = max(self.peak, self.now)

    def restart(self) -> None:
        """Let the peak begin at what is alive."""
        self.peak = self.now

    def _gone(self, key: int, size: int) -> None:
        del self._known[key]
        self.now -= size
