"""`lorafw serve`: models behind the HTTP interface that OpenAI's clients speak."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import click

from lorafw.assembly.draft import split_assignment
from lorafw.errors import LorafwError, UsageError

if TYPE_CHECKING:
    import socket

    from lorafw.serving.catalogue import Catalogue

_NEEDED = ("fastapi", "uvicorn", "prometheus_client")
_EXPOSED = "Warning: anybody who reaches this address can ask the models. Set LORAFW_API_KEY."


@click.command()
@click.argument("path")
@click.option(
    "--adapter",
    "adapters",
    metavar="NAME=PATH",
    multiple=True,
    help="Another adapter of the same base, and what clients call it; repeatable.",
)
@click.option("--base", metavar="PATH", help="The adapter's base model, if it is not where it was.")
@click.option("--name", help="What clients call the model at PATH; by default its folder's name.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="Port to listen on; 0 takes a free one.",
)
@click.option(
    "--api-key",
    metavar="KEY",
    envvar="LORAFW_API_KEY",
    help="What clients must send; better in the environment, as LORAFW_API_KEY.",
)
@click.option(
    "--cors",
    metavar="ORIGIN",
    multiple=True,
    help="Let web pages of this origin talk to the server; repeatable.",
)
@click.option(
    "--batch-tokens",
    type=click.IntRange(min=1),
    metavar="N",
    help="Most tokens, padding included, that grow at once.",
)
@click.option(
    "--max-waiting",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many answers may wait; requests beyond are sent away.",
)
@click.option("--device", help="Such as cpu or cuda:0; by default the first GPU, if any.")
@click.option(
    "-o",
    "override",
    metavar="KEY=VALUE",
    multiple=True,
    help="Set one option of the base, such as tokenizer_path=DIR; repeatable.",
)
def serve(
    path: str,
    adapters: tuple[str, ...],
    base: str | None,
    name: str | None,
    host: str,
    port: int,
    api_key: str | None,
    cors: tuple[str, ...],
    batch_tokens: int | None,
    max_waiting: int | None,
    device: str | None,
    override: tuple[str, ...],
) -> None:
    """Serve the model at PATH to OpenAI's clients, and a chat page to browsers.

    PATH is the folder of a run, of an adapter, of a merged or of a base model, or lorafw:demo. The
    base and each adapter is a model of its own name. Ctrl-C ends the server.
    """
    named, options = [_named(words) for words in adapters], dict(map(split_assignment, override))
    _need_packages()
    from lorafw.serving.listening import is_loopback, listen

    with listen(host, port) as listener:
        if not is_loopback(listener) and not api_key:
            click.echo(_EXPOSED, err=True)
        from lorafw.serving.catalogue_loading import load_catalogue

        catalogue = load_catalogue(
            path, named, base=base, name=name, device=device, options=options
        )
        limits = {"batch_tokens": batch_tokens, "max_waiting": max_waiting}
        given = {limit: value for limit, value in limits.items() if value is not None}
        _run(listener, catalogue, key=api_key or "", host=host, origins=cors, **given)


def _named(words: str) -> tuple[str, str]:
    name, _, path = words.partition("=")
    if not name or not path:
        mend = "Such as --adapter sql=runs/sql."
        raise UsageError(f"{words!r} is not NAME=PATH.", where="--adapter", mend=mend)
    return name, path


def _need_packages() -> None:
    """Say what is missing before anything is loaded."""
    for package in _NEEDED:
        if find_spec(package) is None:
            mend = "Run: pip install 'lorafw[serve]'"
            raise LorafwError(f"{package} is not installed, which a server needs.", mend=mend)


def _run(
    listener: socket.socket,
    catalogue: Catalogue,
    *,
    key: str,
    host: str,
    origins: tuple[str, ...],
    **limits: int,
) -> None:
    from lorafw.serving.app import Settings, create_app
    from lorafw.serving.listening import names_of, url_of
    from lorafw.serving.running import GracefulServer

    hosts = names_of(listener, host)
    settings = Settings(key=key, hosts=hosts, origins=origins, **limits)
    server = GracefulServer(create_app(catalogue, settings))
    models = ", ".join(catalogue.adapters)
    click.echo(f"Serving {models} at {url_of(listener)}/v1 (chat page: {url_of(listener)}/).")
    server.run(sockets=[listener])
