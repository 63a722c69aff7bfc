"""What a part is for, in one line, read from its source so that nothing is imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from lorafw.assembly.loading import Entry


def one_line(entry: Entry) -> str:
    """First line of the docstring of a part's class, or else its distribution's summary."""
    module, _, name = entry.value.partition(":")
    found = next(filter(None, (_class_docstring(path, name) for path in _sources(module))), "")
    return found.partition("\n")[0] or entry.summary


def _class_docstring(path: Path, name: str) -> str:
    try:
        tree = ast.parse(path.read_bytes())
    except SyntaxError:  # told when the part is loaded; a list goes on
        return ""
    classes = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    return next((ast.get_docstring(node) or "" for node in classes), "")


def _sources(module: str) -> Iterator[Path]:
    top, *rest = module.split(".")
    spec = find_spec(top)
    if spec is None:
        return
    if not rest and spec.origin is not None:
        yield Path(spec.origin)
    for folder in spec.submodule_search_locations or ():
        inner = Path(folder, *rest)
        yield from filter(Path.is_file, (inner.with_suffix(".py"), inner / "__init__.py"))
