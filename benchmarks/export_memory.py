"""`python -m benchmarks.export_memory`: the memory that exporting a model takes, over its size."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from benchmarks.environment import ROOT, environment
from benchmarks.model import SEED

EXPORTS = {
    "merged": "merged",
    "merged, bf16": "merged:dtype=bf16,accept_loss=true",
    "adapter": "adapter",
    "gguf": "gguf",
    "gguf, q8_0": "gguf:dtype=q8_0,accept_loss=true",
}


@click.command()
@click.option("--layers", default=20, show_default=True, help="Layers of the model.")
@click.option("--width", default=1024, show_default=True, help="Its width.")
@click.option("--threads", default=1, show_default=True, help="Threads of a process.")
def main(layers: int, width: int, threads: int) -> None:
    """Export in a process of its own, and watch it and the child that opens the export."""
    table = Table("export", "model MB", "exporting process", "comparing process")
    with tempfile.TemporaryDirectory(prefix="lorafw-export-") as place:
        folder = Path(place)
        size = build(folder / "base", folder / "adapter", layers=layers, width=width)
        for name, wish in EXPORTS.items():
            told = measure(folder / "adapter", wish, folder / "out", threads=threads)
            over = [(told[key] - told["imports"]) / size for key in ("parent", "child")]
            table.add_row(name, f"{size / 1e6:.0f}", *(f"{share:.2f}x" for share in over))
    Console().print(table)


def build(base: Path, adapter: Path, *, layers: int, width: int) -> int:
    """A Llama of random fp32 weights and an adapter for it; the bytes of its weights."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    from lorafw.models import folder as folders

    config = LlamaConfig(
        vocab_size=8000,
        hidden_size=width,
        intermediate_size=width * 11 // 4,
        num_hidden_layers=layers,
        num_attention_heads=16,
        num_key_value_heads=16,
        max_position_embeddings=256,
        tie_word_embeddings=False,
    )
    torch.manual_seed(SEED)
    model = LlamaForCausalLM(config)
    model.save_pretrained(base)
    AutoTokenizer.from_pretrained(folders.resolve(folders.DEMO)).save_pretrained(base)
    _write_adapter(adapter, base, layers, width)
    return sum(p.numel() * p.element_size() for p in model.parameters())


def _write_adapter(folder: Path, base: Path, layers: int, width: int) -> None:
    import torch

    from lorafw.adapters.layout.peft_layout import write_adapter
    from lorafw.models import folder as folders
    from lorafw.types import AdapterSpec, AdapterState, canonical_pair

    targets = tuple(f"model.layers.{i}.self_attn.{p}_proj" for i in range(layers) for p in "qkvo")
    tensors = {}
    for target in targets:
        down, up = canonical_pair(target)
        tensors[down], tensors[up] = torch.randn(8, width) * 0.02, torch.randn(width, 8) * 0.02
    recipe = {
        "model": {"use": "auto", "path": str(base)},
        "base": folders.identity(base),
        "encoder": {"use": "prompt"},
    }
    folder.mkdir()
    state = AdapterState(AdapterSpec(rank=8, alpha=16.0, targets=targets), tensors)
    write_adapter(folder, state, base_path=str(base), recipe=recipe)


def measure(adapter: Path, wish: str, out: Path, *, threads: int = 1) -> dict[str, int]:
    """Bytes in memory after imports, and the most in the exporting process and in its child."""
    done = subprocess.run(
        [sys.executable, "-c", _EXPORT, str(adapter), wish, str(out)],
        cwd=ROOT,
        env=environment(adapter.parent, threads=threads),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise click.ClickException(f"{wish} failed:\n{done.stdout}{done.stderr}")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


_EXPORT = """
import json, logging, shutil, sys, threading, time
from functools import partial
from pathlib import Path
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
import peft, transformers.models.llama.modeling_llama
from lorafw.certification.exporting import export_all
from lorafw.certification.sources import live_model
from lorafw.certification.targets import targets_of
from lorafw.planning.process_memory import peak_memory, resident_memory

children, ended = {}, threading.Event()

def watch():
    while not ended.is_set():
        for number in Path("/proc/self/task").glob("*/children"):
            for child in number.read_text().split():
                try:
                    status = Path("/proc", child, "status").read_text()
                except OSError:
                    continue
                if "VmHWM" in status and "python" in status.splitlines()[0]:
                    peak = int(status.partition("VmHWM:")[2].split()[0]) * 1024
                    children[child] = max(peak, children.get(child, 0))
        time.sleep(0.005)

source, wish, out = sys.argv[1:]
imports = resident_memory()
threading.Thread(target=watch, daemon=True).start()
targets = targets_of([wish], Path(source), Path(out), accept_loss=False, force=False)
load = partial(live_model, source)
for done in export_all(targets, load, lambda stage: None):
    if done.fault is not None:
        raise done.fault
    print(done.certificate.comparison)
ended.set()
shutil.rmtree(out)
most = max(children.values(), default=0)
print(json.dumps({"imports": imports, "parent": peak_memory(), "child": most}))
"""


if __name__ == "__main__":
    main()
