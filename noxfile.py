"""The project's checks, each in an environment of its own: `nox -l` lists them."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import nox
from nox.command import CommandFailed

nox.needs_version = ">=2025.5.1"
nox.options.reuse_existing_virtualenvs = True

ROOT = Path(__file__).parent
PLUGINS = sorted(path.parent.name for path in ROOT.glob("plugins/*/pyproject.toml"))
SOURCES = ["src", *(f"plugins/{name}/src" for name in PLUGINS)]
NEED_SHARED = ("gsm8k_curve", "newcomer")
"""Benchmarks of real rows and weights, which lie in the folder that LORAFW_SHARED names."""
PROVEN, DEV, DOCS = "requirements.txt", "requirements-dev.txt", "requirements-docs.txt"


@nox.session
def tests(session: nox.Session) -> None:
    """All tests, with the proven set of versions."""
    _install_all(session)
    session.run("pytest", "-n", "2", "--dist", "loadfile", *session.posargs)


@nox.session(default=False)
@nox.parametrize("name", PLUGINS, ids=PLUGINS)
def plugin(session: nox.Session, name: str) -> None:
    """One plugin's tests with core and that plugin alone: no plugin needs another."""
    pins = _pins(session, PROVEN, DEV)
    session.install("-c", pins, "-e", ".[testing]", "-e", f"plugins/{name}[testing]")
    session.run("pytest", f"plugins/{name}", *session.posargs)


@nox.session(default=False)
def contracts(session: nox.Session) -> None:
    """The contract kit on every part that is installed."""
    _install_all(session)
    session.run("pytest", "tests/contracts", "plugins", *session.posargs)


@nox.session(default=False)
def equivalence(session: nox.Session) -> None:
    """Every engine, rank count, layout, injector and budget gives the same update."""
    _install_all(session)
    session.run("pytest", "tests/equivalence", *session.posargs)


@nox.session(default=False)
def kills(session: nox.Session) -> None:
    """200 runs killed at any moment, and their checkpoints; LORAFW_KILLS_SEED draws others."""
    _install_all(session)
    session.run("pytest", "-m", "kills or not kills", "tests/kills", *session.posargs)


@nox.session(default=False)
def slow(session: nox.Session) -> None:
    """Further cases of what the default tests show, which take long."""
    _install_all(session)
    session.run("pytest", "-m", "slow", *session.posargs)


@nox.session(default=False)
def drawn(session: nox.Session) -> None:
    """Hundreds of runs drawn at random, compared with plain ones; a failure names the seed."""
    _install_all(session)
    chance = {"LORAFW_DRAW_SEED": str(time.time_ns() % 10**6), "LORAFW_DRAWS": "150"}
    given = {name: os.environ.get(name, value) for name, value in chance.items()}
    tests = "tests/equivalence/test_drawn_runs.py"
    session.run("pytest", "-o", "timeout=7200", tests, *session.posargs, env=given)


@nox.session
def lint(session: nox.Session) -> None:
    """Style: ruff's rules and its format."""
    session.install("-c", _pins(session, DEV), "ruff")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def typecheck(session: nox.Session) -> None:
    """Types: mypy --strict on core and every plugin."""
    _install_all(session)
    session.run("mypy", *SOURCES)


@nox.session
def imports(session: nox.Session) -> None:
    """Import direction: the layers in pyproject.toml."""
    _install_all(session)
    session.run("lint-imports")


@nox.session(default=False)
def docs(session: nox.Session) -> None:
    """The documentation; a broken link is an error."""
    session.install("-r", DOCS)
    quiet = {"NO_MKDOCS_2_WARNING": "1"}  # an advertisement
    session.run("mkdocs", "build", "--strict", env=quiet)


@nox.session(default=False)
def build(session: nox.Session) -> None:
    """Wheels of all distributions, installed into a clean environment and listed there."""
    session.install("build")
    place = Path(session.create_tmp())
    wheels, clean = place / "wheels", place / "clean"
    shutil.rmtree(wheels, ignore_errors=True)
    for folder in [".", *(f"plugins/{name}" for name in PLUGINS)]:
        session.run("python", "-m", "build", "--wheel", "--outdir", str(wheels), folder)
    session.run("python", "-m", "venv", "--clear", str(clean))
    built = [str(wheel) for wheel in sorted(wheels.glob("*.whl"))]
    pins = _pins(session, PROVEN)
    session.run(str(clean / "bin" / "pip"), "install", "-c", pins, *built, external=True)
    session.run(str(clean / "bin" / "lorafw"), "plugins", "list", external=True)


@nox.session(default=False)
def faults(session: nox.Session) -> None:
    """Every way to fail with every trainer, on two ranks and on two nodes."""
    _install_all(session)
    files = ["tests/integration/test_failures.py", "tests/integration/test_two_nodes.py"]
    session.run("pytest", "-m", "", *files, *session.posargs)


@nox.session(default=False)
def browser(session: nox.Session) -> None:
    """The chat page in this machine's Chromium; LORAFW_SCREENSHOTS is a folder for pictures."""
    _install_all(session)
    session.run("pytest", "-m", "browser", "tests/integration/test_chat_page.py", *session.posargs)


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Side-by-side measurements against what one would use instead; takes its time."""
    session.install("-r", "benchmarks/requirements.txt")
    failed = []
    for name in _benchmarks(session):
        try:
            session.run("python", "-m", f"benchmarks.{name}", *session.posargs)
        except CommandFailed:
            failed.append(name)
    if failed:
        session.error(f"failed, or short of what they must reach: {', '.join(failed)}")


@nox.session(default=False)
def demo(session: nox.Session) -> None:
    """Fine-tune the embedded model and compare its answers before and after."""
    session.install("-r", PROVEN)
    session.run("lorafw", "demo", *session.posargs)


def _install_all(session: nox.Session) -> None:
    session.install("-r", PROVEN, "-r", DEV)


def _pins(session: nox.Session, *files: str) -> str:
    """The exact versions in requirements files as a constraints file, for installing a part."""
    lines = [line for file in files for line in (ROOT / file).read_text("utf-8").splitlines()]
    path = Path(session.create_tmp()).resolve() / "pins.txt"
    path.write_text("\n".join(line for line in lines if "==" in line) + "\n", encoding="utf-8")
    return str(path)


def _benchmarks(session: nox.Session) -> list[str]:
    """Those that can run here; modules without a command of their own are parts of others."""
    names = [
        path.stem
        for path in sorted((ROOT / "benchmarks").glob("*.py"))
        if "@click.command()" in path.read_text("utf-8")
    ]
    if "LORAFW_SHARED" in os.environ:
        return names
    session.warn(f"LORAFW_SHARED is not set: {', '.join(NEED_SHARED)} are left out.")
    return [name for name in names if name not in NEED_SHARED]
