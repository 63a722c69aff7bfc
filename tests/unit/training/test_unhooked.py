from __future__ import annotations

import pytest
import torch
from torch import nn

from lorafw.training.unhooked import unhooked, without_hooks_of


def counted(part: nn.Module, calls: list[str]) -> None:
    part.register_forward_pre_hook(lambda *_: calls.append("before"))
    part.register_forward_hook(lambda *_: calls.append("after"))
    part.register_full_backward_hook(lambda *_: calls.append("backward"))


def test_no_hook_runs_while_it_is_open_and_all_do_afterwards() -> None:
    head, calls = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2)), []
    for part in head.modules():
        counted(part, calls)
    x = torch.randn(2, 3, requires_grad=True)
    with unhooked(head):
        inside = head(x)
        inside.sum().backward()
    assert calls == []
    assert torch.equal(head(x), inside)
    assert calls.count("before") == calls.count("after") == 3


def test_hooks_come_back_after_a_failure() -> None:
    head, calls = nn.Linear(3, 2), []
    counted(head, calls)
    with pytest.raises(ValueError, match="halt"), unhooked(head):
        raise ValueError("halt")
    head(torch.randn(1, 3))
    assert calls == ["before", "after"]


def test_nothing_to_unhook_is_fine() -> None:
    with unhooked(None):
        pass


def test_only_the_hooks_of_a_package_stay_away() -> None:
    module, called = nn.Sequential(nn.Linear(2, 2)), []

    def theirs(*_: object) -> None:
        called.append("theirs")

    def ours(*_: object) -> None:
        called.append("ours")

    theirs.__module__, ours.__module__ = "sharded.hooks", "shardedness"
    module[0].register_forward_pre_hook(theirs)
    handle = module[0].register_forward_hook(theirs)
    module[0].register_forward_hook(ours)
    with without_hooks_of(module, "sharded"):
        module(torch.ones(1, 2))
        handle.remove()  # as an engine that is closed meanwhile does
    assert called == ["ours"]
    module(torch.ones(1, 2))
    assert called == ["ours", "theirs", "ours"]
