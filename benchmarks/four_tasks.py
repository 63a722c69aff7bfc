"""Four small tasks as prompt and response: science questions, plans, sums in words, reasoning."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

Pair: TypeAlias = "tuple[str, str]"
HELD_OUT = 40
LONGEST = 400
"""Characters of a prompt and its response; longer rows are left out."""


def _chosen(row: Mapping[str, Any]) -> Pair:
    return str(row["query"]), str(row["choices"][row["gold"]])


SOURCES: Mapping[str, tuple[str, Callable[[Mapping[str, Any]], Pair]]] = {
    "arc-easy": ("multitask/arc_easy.jsonl", _chosen),
    "piqa": ("multitask/piqa.jsonl", _chosen),
    "svamp": (
        "multitask/svamp.jsonl",
        lambda row: (str(row["context"]), f"{row['chain_of_thought']} = {row['answer']}"),
    ),
    "gsm8k": ("gsm8k/train.jsonl", lambda row: (str(row["question"]), str(row["answer"]))),
}


def write_tasks(data: Path, folder: Path, *, rows: int) -> list[dict[str, Any]]:
    """Write the tasks' files; what the section `tasks` of a config says of them.

    Args:
        data: folder of `multitask` and `gsm8k`.
        folder: for the files.
        rows: to train on, of each.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tasks = []
    for name, (file, pair) in SOURCES.items():
        found = list(islice(_short(data / file, pair), rows + HELD_OUT))
        train, held_out = folder / f"{name}.jsonl", folder / f"{name}-eval.jsonl"
        _write(held_out, found[:HELD_OUT])
        _write(train, found[HELD_OUT:])
        dataset = {"use": "jsonl", "path": str(train), "eval_path": str(held_out)}
        tasks.append({"name": name, "dataset": dataset})
    return tasks


def _short(file: Path, pair: Callable[[Mapping[str, Any]], Pair]) -> Iterator[Pair]:
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            prompt, response = pair(json.loads(line))
            if len(prompt) + len(response) <= LONGEST:
                yield prompt, response


def _write(file: Path, pairs: list[Pair]) -> None:
    rows = [{"prompt": prompt, "response": response} for prompt, response in pairs]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
