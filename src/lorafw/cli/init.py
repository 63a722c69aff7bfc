"""`lorafw init`: write a commented config and a small data set to start from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import click

from lorafw.assembly.unset import UNSET
from lorafw.cli.flags import CONFIG_FILE
from lorafw.errors import UsageError
from lorafw.presets.catalog import preset_text

ROWS, HELD_OUT = 64, 16
TRAIN_FILE, EVAL_FILE = "sample.jsonl", "sample-eval.jsonl"

TEMPLATE = f"""\
# A run of lorafw. Start it with: lorafw run
# Every part is chosen by `use`; what else is installed: lorafw plugins list
# The options of a part: lorafw plugins show injector peft
# The whole config with every default: lorafw config show
# Relative paths are relative to the folder the command is started in.

run:
  name: first-run           # results go to runs/<name>
  seed: 0

dataset:
  use: jsonl                # one JSON object per line
  path: {TRAIN_FILE}
  eval_path: {EVAL_FILE}

model:
  use: llama
  path: "lorafw:demo"       # a small model inside lorafw; put a model folder here

injector:
  use: peft                 # or: custom
  r: 8                      # rank
  alpha: 16                 # the update is scaled by alpha / r

trainer:
  use: deepspeed            # or: ddp, accelerate
  zero_stage: 2

plan:
  epochs: 8
  global_batch_size: 8      # rows per optimizer step, however they are split
  learning_rate: 5e-3

exporters: [adapter]        # add `merged` for a whole model
listeners: [console]
"""


@click.command()
@click.argument(
    "folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path, file_okay=False)
)
@click.option("--preset", metavar="NAME", help="Write this preset, and no rows.")
def init(folder: Path, preset: str | None) -> None:
    """Write lorafw.yaml and sample rows into DIR, by default the current folder."""
    texts = _sample() if preset is None else {str(CONFIG_FILE): preset_text(preset)}
    _write(folder, texts)
    click.echo(f"Wrote {', '.join(str(folder / name) for name in texts)}.")
    if UNSET in texts[str(CONFIG_FILE)]:
        click.echo(f"Set what is {UNSET} in it.")
    enter = "" if folder == Path() else f"cd {folder} && "
    click.echo(f"Start with: {enter}lorafw run")


def _sample() -> dict[str, str]:
    from lorafw.demo.corpus import fine_tuning_rows, held_out_rows

    return {
        str(CONFIG_FILE): TEMPLATE,
        TRAIN_FILE: _lines(fine_tuning_rows()[:ROWS]),
        EVAL_FILE: _lines(held_out_rows()[:HELD_OUT]),
    }


def _write(folder: Path, texts: Mapping[str, str]) -> None:
    """Write all files or none: what is there is never overwritten."""
    for name in texts:
        if (folder / name).exists():
            fault = f"'{folder / name}' exists already and is left as it is."
            raise UsageError(fault, mend="Name another folder: lorafw init DIR")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"'{folder}' cannot be written to: {error.strerror}.") from None


def _lines(rows: Iterable[Mapping[str, str]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
