"""A look at whether the packages are there that a tracker or a metric needs."""

from __future__ import annotations

from importlib.util import find_spec

from lorafw.errors import LorafwError


def need(extra: str, *modules: str, part: str = "listener") -> None:
    """See that modules are installed, without importing them.

    Args:
        extra: the extra of lorafw that brings them.
        modules: top-level names.
        part: the kind of part that needs them.

    Raises:
        LorafwError: one of them is missing.
    """
    for module in modules:
        spec = find_spec(module)
        # A folder `wandb` or `mlruns` in the current directory is found too, without an origin.
        if spec is None or spec.origin is None:
            raise LorafwError(
                f"{module} is not installed, which the {part} needs.",
                mend=f"Run: pip install 'lorafw[{extra}]'",
            )
