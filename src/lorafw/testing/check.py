"""Runs a contract without pytest."""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lorafw.contracts import Component
from lorafw.testing.component import ComponentContract, promises
from lorafw.testing.promise import NotPromised

OK, FAILED, NOT_PROMISED = "ok", "failed", "not promised"

Report = Callable[[str, str, str], None]
"""`report(promise, outcome, detail)`: told of each promise in turn."""

CONTRACTS: Mapping[str, str] = MappingProxyType(
    {
        kind: f"{kind.title().replace('_', '')}Contract"
        for kind in (
            "dataset",
            "model",
            "injector",
            "trainer",
            "exporter",
            "encoder",
            "objective",
            "scenario",
            "listener",
            "adapter_format",
            "metric",
        )
    }
)
"""Name of the contract class of each kind of part."""


def check(kind: str, component: Component, report: Report) -> bool:
    """Try a part against every promise of its kind.

    Args:
        kind: a key of `lorafw.assembly.registry.KINDS`.
        component: the part, with the options it is tried with.
        report: told the promise as a sentence, the outcome (`ok`, `failed` or `not promised`) and
            what is wrong, or why it does not apply.

    Returns:
        Whether no promise failed.
    """
    contract = contract_of(kind)
    outcomes = []
    for name, promise in promises(contract).items():
        outcome, detail = _outcome(contract(), promise, component)
        report(_sentence(name), outcome, detail)
        outcomes.append(outcome)
    return FAILED not in outcomes


def contract_of(kind: str) -> type[ComponentContract]:
    """The contract class of a kind of part."""
    found: type[ComponentContract] = getattr(
        import_module(f"lorafw.testing.{kind}"), CONTRACTS[kind]
    )
    return found


def _outcome(
    contract: ComponentContract, promise: Callable[..., None], component: Component
) -> tuple[str, str]:
    try:
        with tempfile.TemporaryDirectory(prefix="lorafw-check-") as folder:
            available: dict[str, Any] = {contract.kind: component, "tmp_path": Path(folder)}
            wanted = list(inspect.signature(promise).parameters)[1:]
            promise(contract, **{name: available[name] for name in wanted})
    except NotPromised as reason:
        return NOT_PROMISED, str(reason)
    except AssertionError as fault:
        return FAILED, str(fault)
    except Exception as fault:  # noqa: BLE001 - whatever a part raises, it is the finding
        return FAILED, f"{type(fault).__name__}: {fault}"
    return OK, ""


def _sentence(name: str) -> str:
    return name.removeprefix("test_").replace("_", " ")
