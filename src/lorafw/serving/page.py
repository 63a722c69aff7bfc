"""The chat page, and which of its parts a browser may run."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files

from starlette.responses import HTMLResponse


def page_response() -> HTMLResponse:
    """The page; nothing runs on it but its own script, and it talks to nobody but this server."""
    text = files("lorafw.serving").joinpath("page.html").read_text(encoding="utf-8")
    rules = {
        "default-src": "'none'",
        "script-src": _hash(text, "script"),
        "style-src": _hash(text, "style"),
        "connect-src": "'self'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    policy = "; ".join(f"{name} {value}" for name, value in rules.items())
    return HTMLResponse(text, headers={"Content-Security-Policy": policy})


def _hash(text: str, element: str) -> str:
    """How a policy names the one script, or style sheet, that is written in a page."""
    (content,) = re.findall(f"<{element}>(.*?)</{element}>", text, re.DOTALL)
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
