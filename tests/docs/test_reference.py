"""The reference pages name everything there is, as it is."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import click
import pytest
from tests.docs.pages import DOCS, option_rows

from lorafw.assembly.config import RunOptions
from lorafw.assembly.draft import DEFAULTS, SECTIONS
from lorafw.assembly.hooks import Events
from lorafw.assembly.registry import KINDS, Registry
from lorafw.cli.main import main
from lorafw.contracts import TrainPlan
from lorafw.contracts.component import Options

FIRST_PARTY = re.compile(r"lorafw(-\w+)?")
PARTS = [
    (kind, entry.name)
    for kind in KINDS
    for entry in Registry().entries(kind)
    if FIRST_PARTY.fullmatch(entry.distribution)
]
EVENTS = {name: event for name, event in vars(Events).items() if not name.startswith("_")}


def page(path: str) -> str:
    return (DOCS / path).read_text(encoding="utf-8")


def commands(group: click.Group, *names: str) -> Iterator[tuple[str, click.Command]]:
    """Every command under a group with its full name, groups apart."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, *names, name)
        else:
            yield " ".join(["lorafw", *names, name]), command


VERBS = [name for name, _ in commands(main)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_page_that_names_its_group_and_contract(kind: str) -> None:
    text = page(f"plugins/{kind}.md")
    contract = KINDS[kind].contract.rpartition(":")[2]
    assert f"`{KINDS[kind].group}`" in text
    assert f"`lorafw.contracts.{contract}`" in text


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_of_a_kind_names_what_its_contract_asks_for(kind: str) -> None:
    contract = Registry().load(kind, Registry().names(kind)[0])
    base = next(
        c for c in contract.__mro__ if c.__name__ == KINDS[kind].contract.rpartition(":")[2]
    )
    text = page(f"plugins/{kind}.md")
    missing = [name for name in vars(base)["__abstractmethods__"] if f"`{name}" not in text]
    assert not missing


@pytest.mark.parametrize("part", PARTS, ids="/".join)
def test_every_part_is_on_its_page_with_its_options(part: tuple[str, str]) -> None:
    kind, name = part
    _, heading, behind = page(f"plugins/{kind}.md").partition(f"\n## `{name}`\n")
    assert heading, f"docs/plugins/{kind}.md has no section `{name}`"
    assert_rows(behind.partition("\n## ")[0], Registry().load(kind, name))


@pytest.mark.parametrize("options", [RunOptions, TrainPlan], ids=["run", "plan"])
def test_the_config_page_has_the_options_of_run_and_plan(options: type[Options]) -> None:
    assert_rows(page("reference/config.md"), options)


def assert_rows(text: str, options: type[Options]) -> None:
    missing = [row for row in option_rows(options) if row not in text.splitlines()]
    assert not missing, "write:\n" + "\n".join(missing)


@pytest.mark.parametrize("section", SECTIONS)
def test_every_section_of_a_config_is_described(section: str) -> None:
    assert f"`{section}`" in page("reference/config.md")


@pytest.mark.parametrize("section", DEFAULTS)
def test_defaults_of_sections_are_told(section: str) -> None:
    rows = [row for row in page("reference/config.md").splitlines() if f"| `{section}` |" in row]
    parts = DEFAULTS[section]
    names = [part["use"] for part in (parts if isinstance(parts, list) else [parts])]
    assert all(name in rows[0] for name in names)


@pytest.mark.parametrize("event", EVENTS)
def test_every_event_is_described_with_its_values(event: str) -> None:
    rows = [row for row in page("reference/events.md").splitlines() if f"| `{event}` |" in row]
    values = list(inspect.signature(EVENTS[event]).parameters)[1:]
    assert [re.findall(r"`(\w+)`", row.split("|")[2]) for row in rows] == [values]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_is_described_with_its_flags(verb: str) -> None:
    sections = page("reference/cli.md").split("\n## ")
    heading = f"`lorafw {verb.split()[1]}`"
    text = next(section for section in sections if section.startswith(heading))
    assert f"`{verb}`" in text
    if "takes the flags of `run`" in text:
        text += next(section for section in sections if section.startswith("`lorafw run`"))
    options = [p for p in dict(commands(main))[verb].params if isinstance(p, click.Option)]
    flags = [flag for option in options for flag in option.opts]
    assert [flag for flag in flags if f"`{flag}" not in text] == []


def test_no_verb_is_described_that_is_not_there() -> None:
    told = re.findall(r"`lorafw ([a-z]+(?: [a-z]+)?)`", page("reference/cli.md"))
    groups = {" ".join(verb.split()[:2]) for verb in VERBS}
    assert {f"lorafw {name}" for name in told} - {*VERBS, *groups} == set()
