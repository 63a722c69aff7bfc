"""An export's folder as one commit on the Hugging Face hub."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from lorafw.adapters.files.safe_files import write_json
from lorafw.builtin._card import Card
from lorafw.builtin._written import write_text
from lorafw.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from lorafw.builtin.hub import Hub
    from lorafw.contracts.exporter import ExportRequest

_CERTIFICATE = "certificate.json"
_CARD = "README.md"


def push(options: Hub, request: ExportRequest, folder: Path) -> Sequence[Path]:
    """Push the export that lies beside a folder, and write down in it what was pushed.

    Args:
        options: the exporter.
        request: what was trained.
        folder: an empty one in the run's folder.

    Raises:
        ExportError: as the exporter's `export` does.
    """
    files = _files(folder.parent / options.what, options.what)
    card = folder / _CARD
    if _CARD not in files:
        said: dict[str, Any] = {"license": options.license, "language": options.language}
        made = Card.beside(folder.parent, request, what=options.what, repo=options.repo_id, **said)
        files[_CARD] = write_text(card, made.text())
    commit = None if options.dry_run else _commit(options, files)
    record = {
        "commit": commit,
        "dry_run": options.dry_run,
        "files": {name: path.stat().st_size for name, path in sorted(files.items())},
        "private": options.private,
        "repo_id": options.repo_id,
        "revision": options.revision,
    }
    write_json(folder / "hub.json", record)
    return sorted(folder.iterdir())


def _files(source: Path, what: str) -> dict[str, Path]:
    """The files of an export by their names in the repository."""
    if not (source / _CERTIFICATE).is_file():
        raise ExportError(
            f"there is no certified export '{what}' in the run's folder.",
            where=str(source),
            mend=f"Name its exporter before hub: exporters: [{what}, hub].",
        )
    found = sorted(path for path in source.rglob("*") if path.is_file())
    return {path.relative_to(source).as_posix(): path for path in found}


def _commit(options: Hub, files: Mapping[str, Path]) -> str:
    """Make one commit of all files; its address.

    Raises:
        ExportError: the hub cannot be reached, or refuses it.
    """
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.errors import HfHubHTTPError

    # OSError, and the errors of the HTTP library that this client of the hub is built on.
    others = cast("tuple[type[Exception], ...]", HfHubHTTPError.__bases__)
    api, revision = HfApi(), options.revision
    adds = [CommitOperationAdd(name, str(path)) for name, path in sorted(files.items())]
    try:
        api.create_repo(options.repo_id, private=options.private, exist_ok=True)
        if revision != "main":
            api.create_branch(options.repo_id, branch=revision, exist_ok=True)
        made = api.create_commit(
            options.repo_id, adds, commit_message="Export of lorafw", revision=revision
        )
    except HfHubHTTPError as error:
        said = str(error.server_message or error).strip().splitlines()
        raise _refused(options, said[0] if said else type(error).__name__) from None
    except others as error:
        raise _refused(options, str(error) or type(error).__name__) from None
    return str(made.commit_url)


def _refused(options: Hub, why: str) -> ExportError:
    return ExportError(
        f"the hub does not take it: {why.rstrip('.')}.",
        where=options.repo_id,
        mend="The export itself is whole and beside this; push it again when this is mended.",
    )
