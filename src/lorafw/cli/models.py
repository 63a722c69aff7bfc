"""`lorafw models`: what a model is, and what lorafw would do with it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from lorafw.cli.tables import columns
from lorafw.errors import ModelError

if TYPE_CHECKING:
    from lorafw.models.report import ModelReport


@click.group()
def models() -> None:
    """Look at base models before anything is loaded."""


@models.command()
@click.argument("path")
@click.option("--model", metavar="NAME", help="The model to build it with; else found by itself.")
@click.option(
    "-o", "override", metavar="KEY=VALUE", multiple=True, help="Set one option of the model."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def inspect(path: str, model: str | None, override: tuple[str, ...], *, as_json: bool) -> None:
    """Tell what model is at PATH and what lorafw would do with it.

    PATH is a folder, a file or a hub id. Weights are not read. Exit code 1 if lorafw would refuse
    the model.
    """
    from lorafw.assembly.base_model import find_builder
    from lorafw.assembly.draft import split_assignment
    from lorafw.assembly.registry import Registry
    from lorafw.models.inspection import inspect_model

    options = dict(map(split_assignment, override))
    name, builder, place = find_builder(Registry(), path, options, model)
    report = inspect_model(name, builder, place)
    click.echo(json.dumps(asdict(report), indent=2) if as_json else "\n".join(_lines(report)))
    if report.refused:
        raise ModelError(f"lorafw would refuse this model: {' Also: '.join(report.refused)}")


def _lines(report: ModelReport) -> Iterator[str]:
    yield from columns([(name, value) for name, value in _facts(report) if value])
    if report.targets:
        rows = [(g.name, str(g.count), f"{g.inputs:,} -> {g.outputs:,}") for g in report.targets]
        yield from ("", *columns([("LORA TARGETS", "COUNT", "IN -> OUT"), *rows]))
        yield from ("", *_ranks(report))


def _facts(report: ModelReport) -> Sequence[tuple[str, str]]:
    names = [name for name in (report.family, report.generation, report.architecture) if name]
    tokenizer, known = report.tokenizer, report.parameters is not None
    return (
        ("path", report.path),
        ("family", ", ".join(dict.fromkeys(names))),
        ("parameters", f"{report.parameters:,}" if known else ""),
        ("sizes", ", ".join(f"{n.replace('_', ' ')} {v:,}" for n, v in report.sizes.items())),
        ("on disk", _stored(report)),
        ("tokenizer", f"{tokenizer.kind}, {tokenizer.size:,} ids" if tokenizer else ""),
        ("special", _special(report)),
        ("added", _added(report)),
        ("experts", _experts(report)),
        ("template", _template(report)),
        ("built by", f"model '{report.model}'" + _for(report)),
        ("encoded by", f"encoder '{report.encoder}'" if report.encoder else ""),
        ("batches", {True: "rows end to end", False: "padded rows", None: ""}[report.segments]),
    )


def _for(report: ModelReport) -> str:
    return f", for {' and '.join(report.tasks)}" if report.tasks else ""


def _stored(report: ModelReport) -> str:
    weights = report.weights
    if weights is None:
        return ""
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in weights.numbers.items())
    files = f"{weights.files} file" + "s" * (weights.files != 1)
    return f"{weights.bytes:,} bytes in {files}" + (f": {kinds}" if kinds else "")


def _template(report: ModelReport) -> str:
    if report.tokenizer is None:
        return ""
    return "chat" if report.tokenizer.chat_template else "none"


def _special(report: ModelReport) -> str:
    marks = report.tokenizer.special_tokens if report.tokenizer else {}
    return ", ".join(f"{role.removesuffix('_token')} {mark}" for role, mark in marks.items())


def _added(report: ModelReport) -> str:
    kinds = {True: "special, ", False: ""}, {True: "a new row", False: "a row to spare"}
    told = ((t.text, t.id, kinds[0][t.special] + kinds[1][t.new_row]) for t in report.added)
    return ", ".join(f"{text} {row} ({kind})" for text, row, kind in told)


def _experts(report: ModelReport) -> str:
    keys = dict.fromkeys(name.rpartition(".")[2] for name in report.experts)
    layers = {name.rpartition(".")[0] for name in report.experts}
    told = f"in one tensor each of {len(layers)} layers: {', '.join(keys)}"
    return f"{told}; adapted if target_modules names them" if keys else ""


def _ranks(report: ModelReport) -> list[str]:
    whole = report.parameters or 0
    rows = [
        (str(rank), f"{count:,}", f"{count / whole:.2%}" if whole else "")
        for rank, count in report.trainable.items()
    ]
    return columns([("RANK", "TRAINABLE", "OF THE MODEL"), *rows])
