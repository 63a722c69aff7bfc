"""The body of `POST /v1/completions`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self, TypeGuard

from pydantic import Field, field_validator, model_validator

from lorafw.serving.wishes import Wishes

_MOST_PROMPTS, _MOST_LIKELY, _MOST_ANSWERS = 64, 20, 128


class CompletionRequest(Wishes):
    """Texts, or token ids, that are continued as they stand."""

    neutral: ClassVar[Mapping[str, tuple[Any, ...]]] = {
        "suffix": (),
        "best_of": (1,),
    }

    prompt: str | list[int] | list[str] | list[list[int]]
    echo: bool | None = None
    logprobs: Annotated[int, Field(ge=0, le=_MOST_LIKELY)] | None = None

    @field_validator("prompt", mode="before")
    @classmethod
    def _some_but_not_too_many(cls, prompt: object) -> object:
        if not (isinstance(prompt, str) or _is_ids(prompt) or _is_several(prompt)):
            raise ValueError("must be a text, a list of texts, token ids, or a list of those")
        if not prompt or (_is_several(prompt) and not all(prompt)):
            raise ValueError("is empty")
        if _is_several(prompt) and len(prompt) > _MOST_PROMPTS:
            raise ValueError(f"at most {_MOST_PROMPTS} prompts are taken at once")
        return prompt

    @model_validator(mode="after")
    def _not_too_much(self) -> Self:
        if len(self.prompts) * self.choices > _MOST_ANSWERS:
            raise ValueError(f"at most {_MOST_ANSWERS} answers are given at once")
        if self.echo and self.logprobs is not None:
            raise ValueError("echo is not supported together with logprobs")
        return self

    @property
    def prompts(self) -> list[str | list[int]]:
        """Every prompt, as text or as ids."""
        if isinstance(self.prompt, str) or _is_ids(self.prompt):
            return [self.prompt]
        return [*self.prompt]

    @property
    def likeliest(self) -> int | None:
        """At how many tokens' log-probabilities to look; None not at all."""
        return self.logprobs


def _is_ids(value: object) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(each) is int and each >= 0 for each in value)


def _is_several(value: object) -> TypeGuard[list[str] | list[list[int]]]:
    if not isinstance(value, list):
        return False
    return all(isinstance(each, str) for each in value) or all(map(_is_ids, value))
