"""The part of Go's text/template that chat templates need: written, and rendered as Ollama does."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from lorafw_gguf._turns import NotTurnsError, Turns

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lorafw.types import Message

_ACTION = re.compile(r"\{\{ (.*?) \}\}")
_CONDITION = re.compile(r'(?:else )?if (?:\.(\w+)|eq \.(\w+) "(\w+)")')


def go_template(turns: Turns) -> str:
    """Go's template that writes turns, for Ollama's TEMPLATE.

    Where every question is written alike, Ollama renders question by question (`.Prompt`,
    `.Response`); otherwise the template goes through `.Messages`.

    Raises:
        NotTurnsError: Go's templates cannot.
    """
    said = (turns.opening, turns.asks, turns.asked, turns.answers, turns.answered or "")
    texts = (*said, *(turns.system or ()))
    if any("{{" in text or '"""' in text for text in texts):
        raise NotTurnsError('it writes {{ or """, which a Modelfile reads in its own way')
    return _by_message(turns) if turns.opening else _by_question(turns)


def _by_question(turns: Turns) -> str:
    asks = turns.asks
    if turns.system:
        before, between = turns.system
        asks = _if_told(f"{before}{{{{ .System }}}}{between}", asks)
    response = "{{ .Response }}"
    if turns.answers:  # in front of answers of the past; the model writes the next one's itself
        response = f"{{{{ if .Response }}}}{turns.answers}{response}{{{{ end }}}}"
    return f"{asks}{{{{ .Prompt }}}}{turns.asked}{response}{turns.answered or ''}"


def _by_message(turns: Turns) -> str:
    begin = turns.opening
    if turns.system:
        before, between = turns.system
        if not between.endswith(turns.asks):
            raise NotTurnsError("it writes a question in another way behind a system's words")
        behind = between[: len(between) - len(turns.asks)]
        begin = _if_told(f"{before}{{{{ .System }}}}{behind}", begin)
    return (
        f"{begin}{{{{ range .Messages }}}}"
        f'{{{{ if eq .Role "user" }}}}{turns.asks}{{{{ .Content }}}}{turns.asked}'
        f'{{{{ else if eq .Role "assistant" }}}}{turns.answers}{{{{ .Content }}}}'
        f"{turns.answered or ''}{{{{ end }}}}{{{{ end }}}}"
    )


def _if_told(told: str, alone: str) -> str:
    """One text where a system's words are given, and another where they are not."""
    return f"{{{{ if .System }}}}{told}{{{{ else }}}}{alone}{{{{ end }}}}"


@dataclass(slots=True)
class _Field:
    name: str


@dataclass(slots=True)
class _Range:
    body: list[_Node] = field(default_factory=list)


@dataclass(slots=True)
class _If:
    """Branches, each with the field it looks at and, for `eq`, what that has to be."""

    branches: list[tuple[str, str | None, list[_Node]]] = field(default_factory=list)


_Node: TypeAlias = "str | _Field | _Range | _If"


def rendered(template: str, messages: Sequence[Message]) -> str:
    """The prompt that Ollama makes of a conversation (template.go, `Execute`).

    Args:
        template: in the part of Go's language that `go_template` writes.
        messages: the turns so far, the last of them the user's.
    """
    nodes = list(_parsed(iter(_ACTION.split(template)), []))
    turns = [{"Role": message.role, "Content": message.content} for message in messages]
    system = "\n\n".join(turn["Content"] for turn in turns if turn["Role"] == "system")
    if any(isinstance(node, _Range) for node in nodes):
        return _filled(nodes, {"System": system}, turns)
    text, values = "", dict[str, str]()
    for turn in turns:
        name = {"system": "System", "user": "Prompt", "assistant": "Response"}[turn["Role"]]
        if (name == "Prompt" and values.get("Response")) or (name == "System" and values):
            text += _filled(nodes, values, [])
            values = {}
        values[name] = turn["Content"]
    at = next(i for i, node in enumerate(nodes) if _names_response(node))
    return text + _filled(nodes[: at + 1], values, [])


def _names_response(node: _Node) -> bool:
    """Whether this node writes the response, behind which Ollama cuts a prompt off."""
    if isinstance(node, _If):
        return any(_names_response(inner) for _, _, body in node.branches for inner in body)
    return node == _Field("Response")


def _parsed(pieces: Iterator[str], ends: list[str]) -> list[_Node]:
    """Nodes up to the `end` or `else` that closes them, which is left in `ends`."""
    nodes: list[_Node] = []
    for text in pieces:
        nodes += [text] if text else []
        action = next(pieces, None)
        if action is None:
            break
        if action == "end" or action.startswith("else"):
            ends.append(action)
            break
        nodes.append(_node(action, pieces))
    return nodes


def _node(action: str, pieces: Iterator[str]) -> _Node:
    if action == "range .Messages":
        return _Range(_parsed(pieces, []))
    if not action.startswith("if "):
        return _Field(action.removeprefix("."))
    made, closing = _If(), [action]
    while closing[-1] != "end":
        field_, value = _condition(closing[-1])
        made.branches.append((field_, value, _parsed(pieces, closing)))
    return made


def _condition(action: str) -> tuple[str, str | None]:
    if action == "else":
        return "", None
    found = _CONDITION.fullmatch(action)
    assert found is not None, action
    return found[1] or found[2], found[3]


def _filled(
    nodes: Sequence[_Node], values: Mapping[str, str], turns: Sequence[Mapping[str, str]]
) -> str:
    return "".join(_written(node, values, turns) for node in nodes)


def _written(node: _Node, values: Mapping[str, str], turns: Sequence[Mapping[str, str]]) -> str:
    match node:
        case _Field():
            return values.get(node.name, "")
        case _Range():
            return "".join(_filled(node.body, turn, turns) for turn in turns)
        case _If():
            for name, value, body in node.branches:
                found = values.get(name, "")
                if not name or (found == value if value else found):
                    return _filled(body, values, turns)
            return ""
    return node
