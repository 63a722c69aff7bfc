"""The chat template of a GGUF file: the one of training, in Jinja."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lorafw.builtin.templates.jinja import JinjaConversation
from lorafw.errors import LorafwError
from lorafw_gguf._turns import Asking, NotTurnsError, Turns

if TYPE_CHECKING:
    from lorafw.contracts.encoder import Encoder
    from lorafw.types import Tokenizer


def chat_template(encoder: Encoder, tokenizer: Tokenizer) -> str | None:
    """Jinja that renders a conversation as the rows of training were; None if none can be made.

    The encoder's own where it is Jinja and depends on nothing else, or else one that is made of the
    texts which the encoder puts around what is said.
    """
    if isinstance(encoder, JinjaConversation) and not encoder.variables():
        return encoder.source()[1] or tokenizer.chat_template
    try:
        asking = Asking(encoder, tokenizer)
        return jinja_of(asking.turns(), begins=asking.begins)
    except (LorafwError, NotTurnsError):
        return None


def jinja_of(turns: Turns, *, begins: bool) -> str:
    """Jinja that writes turns.

    Args:
        turns: how they are written.
        begins: with the BOS token in front.
    """
    before, between = turns.system or ("", "")
    first = "loop.first" if turns.opening else "false"
    alone = "loop.first or messages[loop.index0 - 1].role != 'system'" if turns.system else "true"
    return "".join(
        (
            "{{ bos_token }}" if begins else "",
            "{% for m in messages %}",
            f"{{% if m.role == 'system' %}}{_literal(before)}{{{{ m.content }}}}{_literal(between)}"
            if turns.system
            else "{% if false %}",
            "{% elif m.role == 'user' %}",
            f"{{% if {first} %}}{_literal(turns.opening)}{{% endif %}}",
            f"{{% if {alone} %}}{_literal(turns.asks)}{{% endif %}}",
            f"{{{{ m.content }}}}{_literal(turns.asked)}",
            f"{{% elif m.role == 'assistant' %}}{_literal(turns.answers)}{{{{ m.content }}}}",
            _literal(turns.answered or ""),
            "{% endif %}{% endfor %}",
        )
    )


def _literal(text: str) -> str:
    return f"{{{{ {json.dumps(text, ensure_ascii=False)} }}}}" if text else ""
