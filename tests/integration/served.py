"""A server, and adapters for it that answer in ways of their own."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

import torch

from lorafw.adapters.layout.peft_layout import write_adapter
from lorafw.models import folder as folders
from lorafw.serving.app import Settings, create_app
from lorafw.serving.catalogue import Catalogue
from lorafw.serving.listening import listen, names_of, url_of
from lorafw.serving.running import GracefulServer
from lorafw.types import AdapterSpec, AdapterState, canonical_pair

DEMO = "lorafw:demo"
WIDTH = 128
QUESTIONS = (
    "What does the koala eat?",
    "What colour is the flamingo?",
    "How does the lime taste?",
    "What does the librarian do?",
    "What is the mirror used for?",
    "Hello!",
)


@dataclass(frozen=True)
class Served:
    """A server that runs; `url` is where, without the path."""

    url: str

    def gauges(self) -> tuple[int, int]:
        """How many answers wait, and how many grow."""
        return self.figure("lorafw_waiting"), self.figure("lorafw_growing")

    def gone(self, model: str) -> int:
        """How many requests for a model were given up because their client had left."""
        return self.figure(f'lorafw_requests_total{{model="{model}",status="499"}}')

    def figure(self, name: str) -> int:
        """One of the server's metrics; 0 if it has none of this name yet."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=30) as found:
            pairs = (line.rsplit(" ", 1) for line in found.read().decode().splitlines())
            return int(float(dict(pairs).get(name, 0)))

    def comes_to_rest(self) -> bool:
        """Whether soon no answer waits or grows."""
        return soon(lambda: self.gauges() == (0, 0))


def soon(happens: Callable[[], bool]) -> bool:
    """Whether something happens within twenty seconds."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if happens():
            return True
        time.sleep(0.01)
    return False


def demo_adapter(folder: Path, seed: int) -> Path:
    """An adapter of the demo's base; its answers are babble, and long."""
    targets = tuple(f"model.layers.{layer}.self_attn.o_proj" for layer in range(4))
    generator, tensors = torch.Generator().manual_seed(seed), {}
    for target in targets:
        down, up = canonical_pair(target)
        tensors[down] = torch.randn(4, WIDTH, generator=generator) / 4
        tensors[up] = torch.randn(WIDTH, 4, generator=generator) / 4
    folder.mkdir(parents=True)
    state = AdapterState(AdapterSpec(rank=4, alpha=8.0, targets=targets), tensors)
    recipe = {
        "lorafw": "0.1.0",
        "base": folders.identity(folders.resolve(DEMO)),
        "model": {"use": "llama", "path": DEMO},
        "encoder": {"use": "chat"},
        "injector": {"use": "custom"},
        "seed": 0,
    }
    write_adapter(folder, state, base_path=None, recipe=recipe)
    return folder


@contextmanager
def serving(catalogue: Catalogue, **settings: Any) -> Iterator[Served]:
    """A server in a thread of this process, from when it listens to its end."""
    listener = listen("127.0.0.1", 0)
    app = create_app(catalogue, Settings(hosts=names_of(listener, "127.0.0.1"), **settings))
    server = GracefulServer(app, grace=0.2)
    thread = Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield Served(url_of(listener))
    finally:
        server.should_exit = True
        thread.join(30)
    assert not thread.is_alive()


def post(url: str, body: object, **headers: str) -> tuple[int, dict[str, object]]:
    """Status and JSON of an answer; the body as it is, if it is bytes."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, raw, {"Content-Type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=30) as found:
            return found.status, json.load(found)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)
