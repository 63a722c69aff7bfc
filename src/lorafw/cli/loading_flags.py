"""The flags that say how a trained model is loaded, shared by every verb that asks one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from lorafw.assembly.draft import split_assignment

if TYPE_CHECKING:
    from lorafw.inference.adapter_set import AdapterSet
    from lorafw.inference.loaded import LoadedModel


@dataclass(frozen=True, slots=True)
class LoadingFlags:
    """What the user said of the model to ask."""

    path: str
    base: str | None
    device: str | None
    override: tuple[str, ...]
    any_base: bool
    merge: bool

    @property
    def options(self) -> Mapping[str, Any]:
        """Options of the base's builder."""
        return dict(map(split_assignment, self.override))

    def load(self) -> LoadedModel:
        """The model at the path; says so if an adapter does not name its template."""
        import lorafw
        from lorafw.inference.place import find

        place = find(self.path, base=self.base, options=self.options)
        if place.adapter is not None and place.encoder is None:
            click.echo(f"Notice: {place.adapter} names no template; its base's is taken.", err=True)
        return lorafw.load(
            self.path,
            adapter_merged=self.merge,
            device=self.device,
            base=self.base,
            options=self.options,
            strict=not self.any_base,
        )

    def load_with(self, adapters: Mapping[str, str]) -> AdapterSet:
        """Adapters by name on the base at the path; one at the path is called `adapter`."""
        import lorafw
        from lorafw.errors import UsageError
        from lorafw.inference.loaded import TUNED
        from lorafw.inference.place import find

        for flag, said in (("--merge", self.merge), ("--any-base", self.any_base)):
            if said:
                raise UsageError(f"{flag} is for one adapter.", where="--adapters")
        whole = self.base is None and find(self.path, options=self.options).adapter is None
        first = {} if whole else {TUNED: self.path}
        return lorafw.load_adapters(
            {**first, **adapters},
            base=self.path if whole else self.base,
            device=self.device,
            options=self.options,
        )


def loading_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command PATH and the flags of loading; it receives one `loading: LoadingFlags`."""

    @wraps(command)
    def with_flags(**given: Any) -> None:
        own = {field.name: given.pop(field.name) for field in fields(LoadingFlags)}
        command(loading=LoadingFlags(**own), **given)

    for option in reversed(_OPTIONS):
        option(with_flags)
    return with_flags


_OPTIONS = [
    click.argument("path"),
    click.option(
        "--base", metavar="PATH", help="The adapter's base model, if it is not where it was."
    ),
    click.option(
        "--merge",
        is_flag=True,
        help="Fold the adapter into the weights first: faster, but the base cannot be asked.",
    ),
    click.option("--any-base", is_flag=True, help="Take a base other than the adapter's own."),
    click.option("--device", help="Such as cpu or cuda:0; by default the first GPU, if any."),
    click.option(
        "-o",
        "override",
        metavar="KEY=VALUE",
        multiple=True,
        help="Set one option of the base, such as tokenizer_path=DIR; repeatable.",
    ),
]
