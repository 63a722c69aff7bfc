"""The command `lorafw`: its verbs are imported only when they are called."""

from __future__ import annotations

import click

from lorafw import __version__
from lorafw.cli.verbs import PluginGroup

VERBS = {
    "run": ("lorafw.cli.run:run", "Fine-tune a model as a config and flags say."),
    "verify": (
        "lorafw.cli.verify:verify",
        "Compare every way of training a config on this machine.",
    ),
    "plan": ("lorafw.cli.plan:plan", "Tell how much memory and time a run takes."),
    "init": (
        "lorafw.cli.init:init",
        "Write a commented config and a small data set to start from.",
    ),
    "generate": ("lorafw.cli.generate:generate", "Answer a prompt, or every row of a file."),
    "chat": ("lorafw.cli.chat:chat", "Talk with a model in the terminal."),
    "serve": (
        "lorafw.cli.serve:serve",
        "Serve models to OpenAI's clients, and a chat page to browsers.",
    ),
    "evaluate": (
        "lorafw.cli.evaluate:evaluate",
        "Measure a model and its base on held-out rows.",
    ),
    "demo": (
        "lorafw.cli.demo:demo",
        "Fine-tune the embedded model and compare its answers before and after.",
    ),
    "export": (
        "lorafw.cli.export:export",
        "Write what was trained for other tools, and compare it.",
    ),
    "verify-export": (
        "lorafw.cli.verify_export:verify_export",
        "Check an export against its certificate.",
    ),
    "data": ("lorafw.cli.data:data", "Look at rows as the model sees them, and find bad ones."),
    "presets": ("lorafw.cli.presets:presets", "List and show the configs that come with lorafw."),
    "models": ("lorafw.cli.models:models", "Tell what a base model is before loading it."),
    "adapter": ("lorafw.cli.adapter:adapter", "Look at adapters, and make others of them."),
    "plugins": ("lorafw.cli.plugins:plugins", "List, show and check the installed parts."),
    "config": ("lorafw.cli.config:config", "Show, validate and describe configs."),
}
"""Import path and help line of every verb of lorafw's own, in the order of `--help`."""


@click.group(
    cls=PluginGroup,
    verbs=VERBS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="lorafw", message="%(prog)s %(version)s")
def main() -> None:
    """LoRA fine-tuning whose parts can be swapped without changing the result."""
