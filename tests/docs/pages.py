"""The pages of the documentation, and what code and tables they hold."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorafw.contracts.component import Options

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
PROSE = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("plugins/*/README.md"))]

_FENCE = re.compile(r"^ *```(\S*)[^\n]*\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    number: int
    language: str
    text: str

    @property
    def name(self) -> str:
        return f"{self.page.relative_to(ROOT)}#{self.number}"


def pages() -> list[Path]:
    return [*PROSE, *sorted(DOCS.rglob("*.md"))]


def blocks(page: Path, *languages: str) -> list[Block]:
    found = _FENCE.findall(page.read_text(encoding="utf-8"))
    every = [Block(page, number, language, text) for number, (language, text) in enumerate(found)]
    return [block for block in every if not languages or block.language in languages]


def all_blocks(*languages: str) -> list[Block]:
    return [block for page in pages() for block in blocks(page, *languages)]


def marked_block(page: Path, mark: str) -> Block:
    """The block right behind an HTML comment."""
    before, found, after = page.read_text(encoding="utf-8").partition(f"<!-- {mark} -->\n")
    assert found, f"{page.name} has no <!-- {mark} -->"
    assert after.startswith("```"), f"no block follows <!-- {mark} -->"
    return blocks(page)[len(_FENCE.findall(before))]


def option_rows(options: type[Options]) -> Iterator[str]:
    """The rows of a part's table of options, as the pages must have them."""
    for name, field in options.model_fields.items():
        if field.is_required():
            default = "required"
        else:
            default = f"`{_written(field.get_default(call_default_factory=True))}`"
        meaning = (field.description or "").replace("<", "&lt;").replace("|", "\\|")
        yield f"| `{name}` | {default} | {meaning} |"


def _written(value: Any) -> str:
    if isinstance(value, str) and value.strip():
        return str(value)
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
