"""The address of encoded rows: a hash of all that they are made from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from lorafw.contracts import DatasetAdapter, Encoder
from lorafw.data.cache.code_identity import code_identity
from lorafw.data.cache.faults import NoAddressError
from lorafw.data.cache.part_identity import dataset_identity, encoder_identity
from lorafw.data.cache.tokenizer_identity import tokenizer_identity
from lorafw.data.rows.split import content_hash
from lorafw.types import Example, Split, Tokenizer

FORMAT = 1
"""Of what is kept; another number makes all that is there unknown."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a split's rows are made from."""

    dataset: DatasetAdapter
    encoder: Encoder
    tokenizer: Tokenizer
    split: Split

    def key(self, examples: Sequence[Example] | None = None) -> str:
        """SHA-256, in hex: the same wherever the files lie, whatever they are called.

        Args:
            examples: the split's examples, for a dataset that names no files.

        Raises:
            NoAddressError: a file cannot be read, an example holds what JSON cannot, or a class is
                written in no file.
        """
        try:
            dataset = dataset_identity(self.dataset, self.dataset.origins())
            encoder = encoder_identity(self.encoder)
        except OSError as error:
            raise NoAddressError(error) from error
        parts = {
            "format": FORMAT,
            "split": self.split,
            "dataset": dataset,
            "encoder": encoder,
            "tokenizer": tokenizer_identity(self.tokenizer),
            "code": code_identity(self.dataset, self.encoder, self.tokenizer),
            "examples": None if examples is None else _content(examples),
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def told(self) -> dict[str, str]:
        """What a list of rows names."""
        files = [path.name for path in self.dataset.origins()]
        more = f" and {len(files) - 1} more" if len(files) > 1 else ""
        named = str(getattr(self.tokenizer, "name_or_path", "")).rstrip("/").rpartition("/")[2]
        return {
            "dataset": files[0] + more if files else type(self.dataset).__name__.lower(),
            "encoder": type(self.encoder).__name__.lower(),
            "tokenizer": named or type(self.tokenizer).__name__,
        }


def _content(examples: Sequence[Example]) -> str:
    digest = hashlib.sha256()
    try:
        for example in examples:
            digest.update(content_hash(example).to_bytes(8, "big"))
    except TypeError as error:
        raise NoAddressError(error) from error
    return digest.hexdigest()
