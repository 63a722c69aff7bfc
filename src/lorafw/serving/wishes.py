"""What every kind of request may wish for, and what none may."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import from_json

from lorafw.serving.refusals import Refusal

MOST_CHOICES = 16
"""Most answers to one prompt."""
MOST_STOPS = 16
"""Most texts that end an answer."""
MOST_TOKENS = 2**31 - 1

_SEEDS = 2**63


def _stop_text(text: str) -> str:
    if not 0 < len(text) <= 500:
        raise ValueError("a stop text has 1 to 500 characters")
    return text


StopText = Annotated[str, AfterValidator(_stop_text)]
Tokens = Annotated[int, Field(ge=1, le=MOST_TOKENS)]


class Body(BaseModel):
    """A JSON object of a request; a name that is not known is an error."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", allow_inf_nan=False, protected_namespaces=()
    )

    neutral: ClassVar[Mapping[str, tuple[Any, ...]]] = {}
    """What cannot be done here, by name, with the values besides null that ask for nothing."""

    @classmethod
    def read(cls, body: bytes) -> Self:
        """From what was sent.

        Raises:
            Refusal: it is no JSON, or not of this kind, or asks for what cannot be done here.
        """
        try:
            sent = from_json(body, allow_inf_nan=False)
        except ValueError as error:
            raise Refusal(400, f"The body is no JSON: {error}.", code="invalid_json") from None
        if not isinstance(sent, dict):
            raise Refusal(400, "The body must be a JSON object.", code="invalid_json")
        try:
            return cls.model_validate(cls.without_neutral(sent))
        except ValidationError as error:
            raise Refusal.of_body(error) from None

    @classmethod
    def without_neutral(cls, sent: object, place: str = "") -> object:
        """What was sent, without what asks for nothing.

        Args:
            sent: any value of JSON.
            place: of this value in the body, for messages.

        Raises:
            Refusal: it asks for what cannot be done here.
        """
        if not isinstance(sent, dict):
            return sent
        for name, neutral in cls.neutral.items():
            if sent.get(name) not in (None, *neutral):
                fault = f"{place}{name} is not supported by this server. Leave it out."
                raise Refusal(400, fault, param=place + name, code="unsupported_parameter")
        return {name: value for name, value in sent.items() if name not in cls.neutral}


class StreamOptions(Body):
    """How a stream is told."""

    include_usage: bool = False
    include_obfuscation: Literal[False] | None = None


class Wishes(Body):
    """Who answers, how tokens are chosen, and when an answer ends.

    Defaults are those of OpenAI's own service: tokens are drawn at temperature 1. `top_k` and
    `repetition_penalty` are additions. What is only a hint, or only a name for the user, is taken
    and not used.
    """

    model: str
    max_tokens: Tokens | None = None
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=0, le=MOST_TOKENS)
    n: int | None = Field(None, ge=1, le=MOST_CHOICES)
    stop: Annotated[list[StopText], Field(max_length=MOST_STOPS)] | None = None
    seed: int | None = Field(None, ge=-_SEEDS, lt=_SEEDS)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    repetition_penalty: float | None = Field(None, gt=0, le=100)
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: str | None = None

    @field_validator("stop", mode="before")
    @classmethod
    def _several(cls, stop: object) -> object:
        return [stop] if isinstance(stop, str) else stop

    @model_validator(mode="after")
    def _streams_with_options(self) -> Self:
        if self.stream_options is not None and not self.stream:
            raise ValueError("stream_options is for streams: set stream to true")
        return self

    @property
    def choices(self) -> int:
        """How many answers to each prompt."""
        return self.n or 1

    @property
    def tells_usage(self) -> bool:
        """Whether a stream ends with a count of tokens."""
        return self.stream_options is not None and self.stream_options.include_usage
