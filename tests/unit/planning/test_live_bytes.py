from __future__ import annotations

import torch

from lorafw.planning.live_bytes import LiveBytes


def test_a_storage_counts_once_and_until_its_last_tensor_is_gone() -> None:
    live = LiveBytes()
    whole = torch.zeros(100)
    part = whole[10:]
    live.note(whole)
    live.note(part)
    assert live.now == 400
    del whole
    assert live.now == 400
    del part
    assert (live.now, live.peak) == (0, 400)


def test_the_peak_begins_anew_at_what_is_alive() -> None:
    live = LiveBytes()
    kept, passing = torch.zeros(10), torch.zeros(90)
    for tensor in (kept, passing):
        live.note(tensor)
    del passing, tensor
    live.restart()
    assert live.peak == live.now == kept.nbytes == 40
