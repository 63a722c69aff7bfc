"""A click group that knows its verbs by name and imports one only to call it."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

import click

from lorafw.errors import LorafwError, did_you_mean

if TYPE_CHECKING:
    from lorafw.assembly.registry import Registry

INTERRUPTED = 130
"""Exit code of a process that SIGINT ended, by the shells' convention."""

_OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}


class LazyGroup(click.Group):
    """Verbs that are imported when they are called; errors meant for the user become one line.

    Args:
        verbs: import path (`module:command`) and help line, by name.
    """

    def __init__(
        self, *arguments: Any, verbs: Mapping[str, tuple[str, str]], **options: Any
    ) -> None:
        super().__init__(*arguments, **options)
        self._verbs = verbs

    def list_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
    ) -> list[str]:
        """Names of all verbs; nothing is imported."""
        return list(self._verbs)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        cmd_name: str,
    ) -> click.Command | None:
        """Import one verb."""
        if cmd_name in self._verbs:
            module, _, name = self._verbs[cmd_name][0].partition(":")
            return cast("click.Command", getattr(import_module(module), name))
        return None

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        formatter: click.HelpFormatter,
    ) -> None:
        """Write the list of verbs for `--help`; nothing is imported."""
        own = [(name, help_line) for name, (_, help_line) in self._verbs.items()]
        with formatter.section("Commands"):
            formatter.write_dl(own)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb that was called, or say which one may have been meant."""
        name = args[0]
        if not name.startswith("-") and name not in self.list_commands(ctx):
            hint = did_you_mean(name, self.list_commands(ctx)) or f"See: {ctx.command_path} --help"
            raise click.UsageError(f"no command is called '{name}'. {hint}", ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Call the verb; an error meant for the user becomes one line and its exit code."""
        try:
            return super().invoke(ctx)
        except LorafwError as error:
            click.echo("Error: " + " ".join(str(error).split("\n")), err=True)
            ctx.exit(error.exit_code)
        except OSError as error:
            named = error.filename is not None and error.errno != errno.EPIPE
            if not named and error.errno not in _OF_THE_DISK:
                raise
            place = f"{error.filename}: " if named else ""  # a write does not know its file
            click.echo(f"Error: {place}{error.strerror}.", err=True)
            ctx.exit(LorafwError.exit_code)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)


class PluginGroup(LazyGroup):
    """Verbs of lorafw's own, then those that plugins bring."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all verbs; nothing is imported."""
        return [*super().list_commands(ctx), *self._foreign]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one verb."""
        if cmd_name in self._foreign:
            return cast("click.Command", self._registry.load_command(cmd_name))
        return super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of verbs for `--help`, those of plugins apart; nothing is imported."""
        super().format_commands(ctx, formatter)
        if self._foreign:
            with formatter.section("Commands of plugins"):
                formatter.write_dl(list(self._foreign.items()))

    @cached_property
    def _registry(self) -> Registry:
        from lorafw.assembly.registry import Registry

        return Registry()

    @cached_property
    def _foreign(self) -> Mapping[str, str]:
        """Help line of every verb that plugins bring; the names of lorafw's own are taken."""
        entries = self._registry.commands()
        return {entry.name: entry.summary for entry in entries if entry.name not in self._verbs}
