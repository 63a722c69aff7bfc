"""The models that steps are measured on: sizes, without weights."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shape:
    """A Llama's sizes; input and output embeddings are one matrix.

    Attributes:
        title: what it is like.
        hidden, intermediate: widths of the layers and of their MLPs.
        heads, kv_heads: of queries, and of keys and values; a head is `hidden / heads` wide.
        layers: how many there are unless one wants fewer.
        vocabulary: tokens.
        rope_theta: base of the rotary frequencies.
    """

    title: str
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    layers: int
    vocabulary: int
    rope_theta: float

    @property
    def linears(self) -> tuple[tuple[int, int], ...]:
        """`(in, out)` of a layer's frozen matrices: q|k|v, o, gate|up and down.

        Matrices that share their input count as one: that is how one would multiply them.
        """
        width, head = self.hidden, self.hidden // self.heads
        return (
            (width, width + 2 * head * self.kv_heads),
            (width, width),
            (width, 2 * self.intermediate),
            (self.intermediate, width),
        )


SHAPES = {
    "smollm2-135m": Shape("SmolLM2-135M", 576, 1536, 9, 3, 30, 49152, 100_000.0),
    "llama-1b-wide": Shape("Llama 3.2 1B, a few layers", 2048, 8192, 32, 8, 3, 32000, 500_000.0),
    "minimind": Shape("MiniMind", 512, 1408, 8, 2, 8, 6400, 1_000_000.0),
    "tiny": Shape("Tiny", 128, 352, 4, 2, 2, 1000, 10_000.0),
}
USUAL = "smollm2-135m"
