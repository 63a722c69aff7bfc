"""What is known of PEFT's methods without importing PEFT."""

from __future__ import annotations

from lorafw.types import Capability

LORA = "LORA"
ALL_LINEAR = "all-linear"

REFUSED = {
    "ADAPTION_PROMPT": "it replaces whole attention modules of Llama as they once were",
    "CARTRIDGE": "it distils a document into a cache of keys, which is no fine-tuning by rows",
    "CPT": "it needs to know which tokens of every row are instruction, input and answer",
    "MULTITASK_PROMPT_TUNING": "every row must say which task it is of",
    "POLY": "every row must say which task it is of",
    "SHADOW": "it runs a second model beside the base, which lives outside of it",
    "XLORA": "it mixes several finished adapters, and lorafw trains exactly one",
}
"""Methods PEFT has that lorafw cannot offer, and why."""

SET_BY_LORAFW = {
    "auto_mapping": "Leave it out.",
    "base_model_name_or_path": "Use model.path.",
    "exclude_modules": "Use injector.exclude_modules.",
    "inference_mode": "Leave it out.",
    "layers_pattern": "Use injector.layers_to_transform.",
    "layers_to_transform": "Use injector.layers_to_transform.",
    "modules_to_save": "Use injector.modules_to_save.",
    "peft_type": "Use injector.method.",
    "peft_version": "Leave it out.",
    "revision": "Use model.path.",
    "target_modules": "Use injector.target_modules.",
    "task_type": "Leave it out.",
    "use_asa": "Leave it out: of the methods that share out a budget only adalora is driven.",
}
"""Fields of PEFT's configs that are not left to the user, and what to use in their stead."""

ELSEWHERE = frozenset({"LN_TUNING", "TRAINABLE_TOKENS"})
"""Methods that change modules other than linears: PEFT chooses them if the user does not."""

_UNMERGEABLE = frozenset({"BEFT", "LILY"})
_MOVED_AT_START = frozenset({"C3A", "FOURIERFT", "UNILORA", "VBLORA"})
_WHOLE_ROWS = frozenset({"LILY"})
"""Methods that look at all tokens of a row at once."""
_RANDOM = frozenset({"PVERA"})


def tuned_capabilities(method: str, options: dict[str, object]) -> frozenset[Capability]:
    """What a model tuned by a method other than LoRA and prompt learning can do.

    A method this module does not know counts as one that does what nearly all do.
    """
    found = {Capability.DISABLE}
    if method not in _WHOLE_ROWS:
        found.add(Capability.SEGMENTS)
    if method not in _UNMERGEABLE:
        found.add(Capability.MERGEABLE)
    if method not in _MOVED_AT_START and not _starts_elsewhere(options):
        found.add(Capability.IDENTITY_START)
    if method in _RANDOM or _drops(options):
        found.add(Capability.SPLIT_DEPENDENT)
    return frozenset(found)


def _starts_elsewhere(options: dict[str, object]) -> bool:
    """Whether the user asked PEFT for a start other than its own."""
    return any(key.startswith("init_") and value is not True for key, value in options.items())


def _drops(options: dict[str, object]) -> bool:
    return any(key.endswith("dropout") and bool(value) for key, value in options.items())
