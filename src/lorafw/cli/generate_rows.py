"""Every row of a file answered, for `lorafw generate --input`."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lorafw.cli.row_count import counting
from lorafw.cli.row_flags import TRACE
from lorafw.data.rows.questions import QuestionFields, check_source, scan_questions
from lorafw.errors import UsageError
from lorafw.inference.answering.answer_file import AnswerFile
from lorafw.types import Task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lorafw.cli.row_flags import RowFlags
    from lorafw.inference.answering.job import AnswerJob
    from lorafw.inference.answering.respondent import Respondent
    from lorafw.inference.answering.writers import AnswerWriter
    from lorafw.inference.generation.sampling import Sampling
    from lorafw.inference.loaded import LoadedModel


@dataclass(frozen=True, slots=True)
class Asking:
    """How rows are asked, apart from where they are."""

    sampling: Sampling
    system: str
    adapter: bool
    merge: bool


def answer_rows(
    load: Callable[[], LoadedModel], source: Path, rows: RowFlags, asking: Asking
) -> None:
    """Load a model and answer every row; what can be refused without it is refused before.

    Raises:
        DataError: a row cannot be asked, or there are none.
        UsageError: answers are there already, or were begun with something else.
        ExportError: answers cannot be written.
    """
    from lorafw.inference.answering.identity import file_hash, model_facts

    check_source(source)
    file = _file(rows)
    facts = {"input": file_hash(source), "asking": _facts(asking, rows)}
    if file is not None:
        file.check(facts)
    model = load()
    job = _job(model, source, rows, asking)
    total = job.check()
    with _writer(file, rows, {**facts, "model": model_facts(model)}) as (writer, done):
        bad = _answer(job, writer, total, done)
    if bad:
        click.echo(f"{bad:,} of {total:,} rows could not be asked: see their 'error'.", err=True)


def _answer(job: AnswerJob[Any], writer: AnswerWriter, total: int, done: int) -> int:
    """How many rows had a fault in place of an answer."""
    bad = 0
    with counting("Answering", total, done) as tick:
        for answered in job.run(done=done):
            writer.write(answered)
            bad += "error" in answered.found
            tick()
    writer.finish()
    return bad


def _file(rows: RowFlags) -> AnswerFile | None:
    """Where rows are kept that can be continued; None for stdout and for TRACE's lists."""
    if rows.form == TRACE:
        if rows.output is None:
            raise UsageError("--format trace needs a file.", mend="Name it with --output.")
        if rows.resume:
            raise UsageError("--resume is for rows of JSON.", mend="Leave out --format trace.")
        AnswerFile(rows.output, resume=False)
        return None
    if rows.output is None:
        if rows.resume:
            raise UsageError("--resume needs the file to go on with.", mend="Name it: --output")
        return None
    return AnswerFile(rows.output, resume=rows.resume)


@contextmanager
def _writer(
    file: AnswerFile | None, rows: RowFlags, facts: Mapping[str, Any]
) -> Iterator[tuple[AnswerWriter, int]]:
    """Where answers go, and how many are there already."""
    from lorafw.inference.answering.writers import JsonLines, TraceResults

    if rows.form == TRACE:
        assert rows.output is not None
        yield TraceResults(rows.output), 0
    elif file is None:
        yield JsonLines(sys.stdout.buffer, "stdout"), 0
    else:
        done, stream = file.open(facts)
        with stream:
            yield JsonLines(stream, str(file.path)), done


def _job(model: LoadedModel, source: Path, rows: RowFlags, asking: Asking) -> AnswerJob[Any]:
    from lorafw.inference.answering.job import AnswerJob

    classes = model.bundle.task is Task.CLASSIFICATION
    fields = QuestionFields(rows.prompt_field, rows.answer_field, classes)
    questions = partial(scan_questions, source, fields)
    return AnswerJob(_respondent(model, rows, asking), questions, skip_bad=rows.skip_bad)


def _respondent(model: LoadedModel, rows: RowFlags, asking: Asking) -> Respondent[Any]:
    from lorafw.inference.answering.respondent import Sorter, Speaker
    from lorafw.inference.loaded import TUNED

    if model.bundle.task is Task.CLASSIFICATION:
        return Sorter(model, adapter=asking.adapter, batch_tokens=rows.batch_tokens)
    adapter = TUNED if asking.adapter else None
    return Speaker(
        model, asking.sampling, adapter, system=asking.system, batch_tokens=rows.batch_tokens
    )


def _facts(asking: Asking, rows: RowFlags) -> dict[str, Any]:
    """What answers depend on, by the names of the flags that say so."""
    sampling = {**asdict(asking.sampling), "stop": list(asking.sampling.stop)}
    read = ("prompt_field", "answer_field", "skip_bad", "batch_tokens")
    others = {name: getattr(rows, name) for name in read}
    own = {"system": asking.system, "adapter": asking.adapter, "merge": asking.merge}
    return {**sampling, **own, **others}
