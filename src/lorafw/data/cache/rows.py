"""Rows of a split, encoded once and then read from disk by every run and every rank."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from lorafw.data.cache import arrow_file
from lorafw.data.cache.entry import About, Entry, digest
from lorafw.data.cache.faults import DamagedError, NoAddressError, UnwritableError, as_unwritable
from lorafw.data.cache.key import Recipe
from lorafw.data.cache.lock import locked
from lorafw.data.encoded.encoding import Account, Progress, encode_all, unheard
from lorafw.data.encoded.portion import PortionMaker
from lorafw.data.encoded.prepare import Prepared, prepare
from lorafw.types import Example, Split

WAITING = "Another process encodes the same rows; waiting for them."


@dataclass(frozen=True, slots=True)
class RowCache:
    """Keeps encoded rows in a folder, under a hash of what they are made from.

    One process encodes, others that want the same rows wait for it. What is found is checked
    from its first byte to its last before it is used; what is damaged is encoded again. Where the
    folder cannot be written to, the run goes on without it.

    Attributes:
        folder: where rows are kept, made when it is needed; None to keep none.
        say: told what the user should know.
        progress: told how many rows are encoded.
    """

    folder: Path | None
    say: Callable[[str], None]
    progress: Progress = unheard

    def prepare(self, recipe: Recipe) -> Prepared:
        """The rows of a split.

        Raises:
            DataError: a row cannot be read, or the training split has none to train on.
            LorafwError: the encoder cannot render a row; the message counts which.
        """
        source = _Source(recipe)
        key = source.key() if self.folder is not None else None
        if self.folder is None or key is None:
            return source.prepared(self.progress)
        try:
            entry = Entry(self.folder / key)
            return _found(entry) or self._made(entry, source)
        except UnwritableError as error:
            self.say(f"Encoded rows are not kept in {self.folder}: {error}.")
            return source.prepared(self.progress)

    def _made(self, entry: Entry, source: _Source) -> Prepared:
        """Rows encoded here, unless another process has done so meanwhile."""
        with ExitStack() as held:
            with as_unwritable():
                entry.path.parent.mkdir(parents=True, exist_ok=True)
                lock = locked(entry.lock, lambda: self.say(WAITING))
                held.enter_context(lock)
            return _found(entry) or self._written(entry, source)

    def _written(self, entry: Entry, source: _Source) -> Prepared:
        """Encode into a folder beside the entry's, then give it the entry's name."""
        fresh = entry.unfinished()
        with as_unwritable():
            if entry.path.exists():
                self.say("Kept rows were damaged; they are encoded again.")
                entry.remove()
            fresh.remove()
            fresh.path.mkdir()
        try:
            return self._published(entry, fresh, source)
        finally:
            with as_unwritable():
                fresh.remove()

    def _published(self, entry: Entry, fresh: Entry, source: _Source) -> Prepared:
        with arrow_file.written(fresh.rows) as keep:
            account = source.encode(keep, self.progress)
        if source.key() != entry.path.name:
            raise UnwritableError("the data changed while it was read")
        with as_unwritable():
            about = About(
                entry.path.name,
                fresh.rows.stat().st_size,
                digest(fresh.rows),
                account.fingerprint,
                account.report,
                source.recipe.told(),
                source.left_out(),
            )
            fresh.write_about(about)
            fresh.path.rename(entry.path)
        return _mapped(entry, about)


class _Source:
    """What encodes a recipe's examples, which are loaded when they are needed."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe

    @cached_property
    def _examples(self) -> Sequence[Example]:
        return self.recipe.dataset.load(self.recipe.split)

    def key(self) -> str | None:
        """The address of the rows, if they have one."""
        try:
            named = self.recipe.dataset.origins()
            return self.recipe.key(None if named else self._examples)
        except NoAddressError:
            return None

    def encode(self, keep: arrow_file.Writer, progress: Progress) -> Account:
        """Encode into a file."""
        recipe = self.recipe
        maker = PortionMaker(recipe.encoder, recipe.tokenizer, recipe.split)
        return encode_all(self._examples, maker, keep, progress)

    def prepared(self, progress: Progress) -> Prepared:
        """Encode in memory."""
        recipe = self.recipe
        prepared = prepare(
            self._examples,
            recipe.encoder,
            recipe.tokenizer,
            split=recipe.split,
            progress=progress,
        )
        return replace(prepared, left_out=self.left_out())

    def left_out(self) -> list[str]:
        """What the data set says of rows it left out; once for both splits."""
        recipe = self.recipe
        return list(recipe.dataset.notices()) if recipe.split is Split.TRAIN else []


def _found(entry: Entry) -> Prepared | None:
    """What is kept, checked; None if there is nothing, or nothing that can be trusted."""
    try:
        about = entry.checked()
        if about is None:
            return None
        prepared = _mapped(entry, about)
    except (DamagedError, OSError):
        return None
    entry.used()
    return prepared


def _mapped(entry: Entry, about: About) -> Prepared:
    rows = arrow_file.mapped(entry.rows)
    if len(rows) != about.report.rows:
        raise DamagedError
    return Prepared(rows, about.report, about.fingerprint, about.left_out)
