"""A process that has imported all that a run needs, and forks one process for every rank.

Usage: python -m tests.kills.zygote, which reads a request per line and answers it with a line.
"""

from __future__ import annotations

import gc
import importlib
import json
import math
import os
import signal
import socket
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from tests.kills import faults, moments

IMPORTED = (
    "torch._inductor.compile_fx",  # DeepSpeed's engine looks into it
    "deepspeed.module_inject.auto_ep_layer",
    "deepspeed.ops.op_builder.all_ops",
    "deepspeed.runtime.zero.muon.muon_optimizer",
    "setuptools.dist",
    "lorafw._work",
    "lorafw.adapters.layout.peft_layout",
    "lorafw.adapters.layout.peft_recipe",
    "lorafw.builtin.causal_lm",
    "lorafw.builtin.event_log",
    "lorafw.builtin.jsonl",
    "lorafw.builtin.prompt",
    "lorafw.builtin.single",
    "lorafw.models._cpu_segments",
    "lorafw.models.loading",
    "lorafw.models.transformers_bundle",
    "lorafw.pipeline",
    "lorafw.training.engine_runner",
    "lorafw_accelerate._engine",
    "lorafw_accelerate.trainer",
    "lorafw_custom._adapted",
    "lorafw_custom._experts",
    "lorafw_custom._linear",
    "lorafw_custom.injector",
    "lorafw_ddp._engine",
    "lorafw_ddp.trainer",
    "lorafw_deepspeed._engine",
    "lorafw_deepspeed._start",
    "lorafw_deepspeed._zero_engine",
    "lorafw_deepspeed.trainer",
    "lorafw_llama.model",
    "pyarrow.pandas_compat",
    "torch.distributed.nn",
    "torch.nn.parallel",
    "transformers.models.auto.tokenization_auto",
    "transformers.models.llama.modeling_llama",
    "transformers.tokenization_utils_tokenizers",
)
"""What would take each run the longest to import."""
PATIENCE = 60.0
"""Seconds that a run may take; one that takes longer hangs."""


def main() -> None:
    """Import, say so, and serve."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what others print is no answer
    for name in IMPORTED:
        importlib.import_module(name)
    gc.freeze()  # what all have in common is not looked through by each
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(serve(json.loads(line))), file=answers, flush=True)


def serve(request: dict[str, Any]) -> dict[str, Any]:
    """Fork the ranks of one run, kill it if asked to, and wait for its end.

    Where one rank fails, the others are killed after some seconds' `grace`.

    Returns:
        `codes` of the ranks, as `os.waitstatus_to_exitcode` gives them, and seconds of a `core`
        that they used, rank 0 first.
    """
    port = _free_port()
    ranks = Ranks([_forked(request, rank, port) for rank in range(request["ranks"])])
    deadline = time.monotonic() + PATIENCE
    after, delay = request.get("kill_after", (math.inf, 0.0))
    while ranks.look():
        if ranks.leader_used() > after:
            time.sleep(delay)
            ranks.kill()
        if ranks.any_failed:
            deadline = min(deadline, time.monotonic() + request.get("grace", 0.0))
        if time.monotonic() >= deadline:
            ranks.kill()
        time.sleep(0.001)
    return {"codes": list(ranks.codes.values()), "core": list(ranks.core.values())}


class Ranks:
    """The processes of one run."""

    def __init__(self, processes: list[int]) -> None:
        self._left = list(processes)
        self.codes = dict.fromkeys(processes, 0)
        self.core = dict.fromkeys(processes, 0.0)

    def look(self) -> bool:
        """Take in who has ended; whether any has not."""
        for process in [*self._left]:
            found, status, used = os.wait4(process, os.WNOHANG)
            if found:
                self._left.remove(process)
                self.codes[process] = os.waitstatus_to_exitcode(status)
                self.core[process] = used.ru_utime + used.ru_stime
        return bool(self._left)

    @property
    def any_failed(self) -> bool:
        """Whether one has ended, and not well."""
        return any(self.codes.values())

    def leader_used(self) -> float:
        """Seconds of a core that rank 0 has used; steadier than the clock on a busy machine."""
        leader = next(iter(self.codes))
        if leader not in self._left:
            return 0.0
        nanoseconds = Path(f"/proc/{leader}/schedstat").read_text("ascii").split()[0]
        return int(nanoseconds) / 1e9

    def kill(self) -> None:
        """SIGKILL to all that are left."""
        for process in self._left:
            os.kill(process, signal.SIGKILL)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _forked(request: dict[str, Any], rank: int, port: int) -> int:
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        _become_rank(request, rank, port)
        code = _run(request, rank)
    except BaseException:  # noqa: BLE001 - the parent's code must not go on in this process
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _become_rank(request: dict[str, Any], rank: int, port: int) -> None:
    log = os.open(Path(request["log"]), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    if request["ranks"] > 1:
        os.environ |= {
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(request["ranks"]),
            "LOCAL_WORLD_SIZE": str(request["ranks"]),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
        }


def _run(request: dict[str, Any], rank: int) -> int:
    from lorafw import pipeline
    from lorafw.errors import LorafwError

    if fault := request.get("fault"):
        faults.build_in(fault)
    if (moment := request.get("moment")) and moment["rank"] == rank:
        moments.die_at(moment["place"], moment["turn"])
    try:
        pipeline.run(
            request["config"],
            resume=request["resume"],
            accept_changed=request.get("accept_changed", ()),
        )
    except LorafwError as error:
        sys.stderr.write(f"Error: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    main()
