from __future__ import annotations

import pytest

pytest.importorskip("torch")

from lorafw.demo.packing import IGNORED, collate, pack


def test_windows_hold_whole_documents_and_pads() -> None:
    windows = list(pack([[5, 6, 7], [8, 9], [4, 4], [5]], length=6, pad=0))
    assert [window.tokens for window in windows] == [[5, 6, 7, 8, 9, 0]]
    assert [window.positions for window in windows] == [[0, 1, 2, 0, 1, 0]]


def test_a_document_longer_than_a_window_is_refused() -> None:
    with pytest.raises(ValueError, match="exceeds a window"):
        list(pack([[1, 2, 3]], length=2, pad=0))


def test_the_first_token_of_a_document_is_not_predicted() -> None:
    (window,) = pack([[5, 6, 7], [8, 9], [4, 4]], length=6, pad=0)
    batch = collate([window])
    assert batch["labels"].tolist() == [[IGNORED, 6, 7, IGNORED, 9, IGNORED]]
