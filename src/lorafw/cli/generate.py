"""`lorafw generate`: answer a prompt with a trained adapter."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--prompt", required=True, metavar="TEXT", help="What the model is asked.")
@click.option(
    "--max-new-tokens",
    type=click.IntRange(min=1),
    default=128,
    show_default=True,
    help="Longest answer, in tokens.",
)
@click.option(
    "--temperature",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    help="Randomness of the answer; 0 takes the likeliest token.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of sampling."
)
def generate(path: Path, prompt: str, max_new_tokens: int, temperature: float, seed: int) -> None:
    """Answer a prompt with the adapter of PATH, a run's folder or an exported adapter."""
    import lorafw

    answer = lorafw.load(path).generate(
        prompt, max_new_tokens=max_new_tokens, temperature=temperature, seed=seed
    )
    click.echo(answer)
