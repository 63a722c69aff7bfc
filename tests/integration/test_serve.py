"""OpenAI's own client against a real server of two adapters on one base."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import openai
import pytest
from tests.docs.pages import DOCS, blocks
from tests.integration.served import DEMO, QUESTIONS, Served, demo_adapter, post, serving, soon

import lorafw
from lorafw.demo.corpus import facts
from lorafw.serving.catalogue_loading import load_catalogue

if TYPE_CHECKING:
    from lorafw.inference.adapter_set import AdapterSet

MODELS = ("base", "first", "second")
LONG = 150


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("adapters")
    return {name: demo_adapter(folder / name, seed) for seed, name in enumerate(MODELS[1:])}


@pytest.fixture(scope="module")
def server(adapters: dict[str, Path]) -> Iterator[Served]:
    named = [(name, str(path)) for name, path in adapters.items()]
    with serving(load_catalogue(DEMO, named, name="base", device="cpu")) as served:
        yield served


@pytest.fixture(scope="module")
def library(adapters: dict[str, Path]) -> AdapterSet:
    return lorafw.load_adapters(adapters, device="cpu")


@pytest.fixture
def client(server: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="-", max_retries=0) as found:
        yield found


def conversation(question: str) -> list[Any]:
    return [{"role": "user", "content": question}]


def greedy(client: openai.OpenAI, model: str, question: str, **more: Any) -> Any:
    return client.chat.completions.create(
        model=model, messages=conversation(question), **{"temperature": 0, "max_tokens": 40, **more}
    )


def test_models_are_listed_with_their_base(client: openai.OpenAI) -> None:
    listed = {model.id: model.model_dump()["parent"] for model in client.models.list()}
    assert listed == {"base": None, "first": "base", "second": "base"}
    assert client.models.retrieve("second").id == "second"
    with pytest.raises(openai.NotFoundError, match="no-such"):
        client.models.retrieve("no-such")


@pytest.mark.parametrize("model", MODELS)
def test_answers_are_those_of_the_library(
    client: openai.OpenAI, library: AdapterSet, adapters: dict[str, Path], model: str
) -> None:
    """Both ways to load: all adapters on one base, and each alone."""
    name = None if model == "base" else model
    alone = lorafw.load(adapters.get(model, DEMO), device="cpu")
    together = library.generate(QUESTIONS[:2], name, max_new_tokens=40)
    for question, answer in zip(QUESTIONS[:2], together, strict=True):
        found = greedy(client, model, question).choices[0].message.content
        assert found == answer == alone.generate(question, max_new_tokens=40)


def test_models_answer_in_their_own_ways(client: openai.OpenAI) -> None:
    answers = {greedy(client, m, QUESTIONS[0]).choices[0].message.content for m in MODELS}
    assert len(answers) == len(MODELS)


def test_a_stream_tells_role_text_end_and_usage(client: openai.OpenAI) -> None:
    whole = greedy(client, "first", QUESTIONS[1])
    options: Any = {"include_usage": True}
    chunks = list(greedy(client, "first", QUESTIONS[1], stream=True, stream_options=options))
    told, last = chunks[:-1], chunks[-1]
    assert told[0].choices[0].delta.role == "assistant"
    text = "".join(chunk.choices[0].delta.content or "" for chunk in told)
    assert text == whole.choices[0].message.content
    ends = [chunk.choices[0].finish_reason for chunk in told]
    assert ends == [None] * (len(told) - 1) + [whole.choices[0].finish_reason]
    assert (last.choices, last.usage) == ([], whole.usage)
    assert len({chunk.id for chunk in chunks}) == 1


def test_several_answers_are_drawn_apart_and_again_the_same(client: openai.OpenAI) -> None:
    def drawn() -> list[str]:
        asked: Any = {"n": 4, "temperature": 1.5, "seed": 7}
        return [c.message.content for c in greedy(client, "base", "Hello!", **asked).choices]

    first = drawn()
    assert first == drawn()
    assert len(set(first)) > 1


def test_streamed_answers_side_by_side_are_the_whole_ones(client: openai.OpenAI) -> None:
    asked: Any = {"n": 3, "temperature": 1.2, "seed": 1}
    texts = ["", "", ""]
    for chunk in greedy(client, "second", QUESTIONS[2], stream=True, **asked):
        texts[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    whole = greedy(client, "second", QUESTIONS[2], **asked)
    assert texts == [choice.message.content for choice in whole.choices]


def test_stop_texts_and_lengths(client: openai.OpenAI) -> None:
    answer = greedy(client, "base", QUESTIONS[0])
    text = answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    cut = greedy(client, "base", QUESTIONS[0], stop=text[8:14]).choices[0]
    assert (cut.message.content, cut.finish_reason) == (text[:8], "stop")
    short = greedy(client, "base", QUESTIONS[0], max_tokens=2)
    assert short.choices[0].finish_reason == "length"
    assert short.usage.completion_tokens == 2


def test_log_probabilities_are_of_the_tokens_of_the_text(client: openai.OpenAI) -> None:
    found = greedy(client, "base", QUESTIONS[0], logprobs=True, top_logprobs=3).choices[0]
    tokens = found.logprobs.content
    assert "".join(token.token for token in tokens) == found.message.content
    assert all(token.top_logprobs[0].token == token.token for token in tokens)
    assert all(len(token.top_logprobs) == 3 and token.logprob <= 0 for token in tokens)
    streamed = greedy(client, "base", QUESTIONS[0], logprobs=True, top_logprobs=3, stream=True)
    parts = [chunk.choices[0].logprobs for chunk in streamed]
    assert [token for part in parts if part for token in part.content] == tokens


def test_bias_forces_and_forbids(client: openai.OpenAI, library: AdapterSet) -> None:
    (token,) = library.bundle.tokenizer.encode(" grey", add_special_tokens=False)
    answer = greedy(client, "base", QUESTIONS[0], logit_bias={str(token): 100}, max_tokens=3)
    assert answer.choices[0].message.content == " grey grey grey"


def test_completions_go_on_from_texts_and_from_ids(
    client: openai.OpenAI, library: AdapterSet
) -> None:
    texts, limits = ["The koala", "The lime"], {"temperature": 0, "max_tokens": 6}
    found = client.completions.create(model="first", prompt=texts, **limits)  # type: ignore[call-overload]
    tokenizer = library.bundle.tokenizer
    ids = [tokenizer.encode(text) for text in texts]
    same = client.completions.create(model="first", prompt=ids, **limits)  # type: ignore[call-overload]
    assert [c.text for c in same.choices] == [c.text for c in found.choices]
    assert found.usage.prompt_tokens == sum(map(len, ids))
    alone = client.completions.create(model="first", prompt=texts[1], echo=True, **limits)  # type: ignore[call-overload]
    assert alone.choices[0].text == texts[1] + found.choices[1].text
    chunks = client.completions.create(model="first", prompt=texts[1], stream=True, **limits)  # type: ignore[call-overload]
    assert "".join(chunk.choices[0].text for chunk in chunks) == found.choices[1].text


def test_many_clients_at_once_get_what_the_library_gives(
    server: Served, library: AdapterSet
) -> None:
    questions = [fact.question(Random(0)) for fact in islice(facts(), 0, None, 35)][:17]
    asked = [(model, question) for model in MODELS for question in questions]
    assert len(set(asked)) == 51
    wanted = library.generate(
        [question for _, question in asked],
        [None if model == "base" else model for model, _ in asked],
        max_new_tokens=40,
    )

    async def ask_all() -> list[str]:
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="-") as clients:
            return await asyncio.gather(*(ask(clients, *each) for each in asked))

    async def ask(clients: openai.AsyncOpenAI, model: str, question: str) -> str:
        turns = conversation(question)
        stream = await clients.chat.completions.create(
            model=model, messages=turns, temperature=0, max_tokens=40, stream=True
        )
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    assert asyncio.run(ask_all()) == wanted
    assert server.comes_to_rest()


def raw_request(server: Served, body: str) -> socket.socket:
    """A connection on which a request was sent, and whose answer was not read."""
    host, _, port = server.url.removeprefix("http://").partition(":")
    connection = socket.create_connection((host, int(port)), timeout=30)
    connection.sendall(
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
    )
    return connection


@pytest.mark.parametrize("stream", ["true", "false"])
def test_clients_that_leave_midway_leave_nothing_behind(server: Served, stream: str) -> None:
    body = (
        '{"model": "first", "messages": [{"role": "user", "content": "Hello!"}], "n": 2, '
        f'"temperature": 2, "max_tokens": {LONG}, "stream": {stream}}}'
    )
    before = server.gone("first")
    connections = [raw_request(server, body) for _ in range(12)]
    assert soon(lambda: server.gauges()[1] > 0)
    for connection in connections:
        connection.close()
    assert server.comes_to_rest()
    assert soon(lambda: server.gone("first") == before + 12)


def test_a_client_that_does_not_read_holds_nobody_up(client: openai.OpenAI, server: Served) -> None:
    body = (
        '{"model": "second", "messages": [{"role": "user", "content": "Hello!"}], "n": 16, '
        f'"temperature": 2, "max_tokens": {LONG}, "stream": true, "logprobs": true, '
        '"top_logprobs": 20}'
    )
    with raw_request(server, body):
        assert greedy(client, "base", QUESTIONS[0]).choices[0].finish_reason == "stop"
        assert server.comes_to_rest()


BAD: dict[str, tuple[dict[str, Any] | bytes, int, str | None]] = {
    "no JSON": (b"{", 400, None),
    "no object": (b"[]", 400, None),
    "no text": (b"\xff", 400, None),
    "deep": (b"[" * 100_000, 400, None),
    "no model": ({"model": None}, 400, "model"),
    "unknown model": ({"model": "gpt-4"}, 404, "model"),
    "no messages": ({"messages": []}, 400, "messages"),
    "unknown role": ({"messages": [{"role": "x", "content": ""}]}, 400, "messages[0].role"),
    "no question": ({"messages": [{"role": "system", "content": "x"}]}, 400, "messages"),
    "image": (
        {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
        400,
        "messages[0].content",
    ),
    "long prompt": ({"messages": conversation("koala " * 400)}, 400, "messages"),
    "huge number": ({"max_tokens": 10**40}, 400, "max_tokens"),
    "beyond the context": ({"max_tokens": 5000}, 400, "max_tokens"),
    "number as text": ({"max_tokens": "4"}, 400, "max_tokens"),
    "not a number": (
        b'{"model":"base","messages":[{"role":"user","content":""}],"top_p":NaN}',
        400,
        None,
    ),
    "tools": ({"tools": [{"type": "function"}]}, 400, "tools"),
    "schema": ({"response_format": {"type": "json_schema"}}, 400, "response_format"),
    "unknown word": ({"temprature": 0}, 400, "temprature"),
    "too many answers": ({"n": 1000}, 400, "n"),
    "bias of no token": ({"logit_bias": {"999999": 1}}, 400, "logit_bias"),
    "long body": (b" " * 5_000_000, 413, None),
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD.keys())
def test_a_bad_request_is_told_in_openais_shape(server: Served, case: Any) -> None:
    given, status, param = case
    good = {"model": "base", "messages": conversation("Hello!"), "max_tokens": 2}
    body = given if isinstance(given, bytes) else {**good, **given}
    found, told = post(f"{server.url}/v1/chat/completions", body)
    error: Any = told["error"]
    assert (found, error["param"]) == (status, param), error
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    assert error["type"] == "invalid_request_error"


def test_requests_that_pages_elsewhere_can_make_are_refused(server: Served) -> None:
    url, body = f"{server.url}/v1/chat/completions", {"model": "base", "messages": []}
    for headers in ({"Content-Type": "text/plain"}, {"Host": "rebound.example"}):
        status, told = post(url, body, **headers)
        assert status in (400, 415)
        assert "error" in told
    assert post(f"{server.url}/v1/no-such-path", body)[0] == 404


def test_the_client_raises_its_own_errors(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="no-such"):
        greedy(client, "no-such", "Hello!")
    with pytest.raises(openai.BadRequestError, match="context") as caught:
        greedy(client, "base", "koala " * 400)
    assert caught.value.code == "context_length_exceeded"


def test_the_example_of_the_page_runs(
    server: Served, library: AdapterSet, capsys: pytest.CaptureFixture[str]
) -> None:
    example = "".join(block.text for block in blocks(DOCS / "how-to" / "serve.md", "python"))
    for told, here in (
        ("http://127.0.0.1:8000", server.url),
        ('"demo"', '"base"'),
        ('"pirate"', '"first"'),
        ("temperature=0", "temperature=0, max_tokens=12"),
    ):
        assert told in example
        example = example.replace(told, here)
    exec(compile(example, "serve.md", "exec"), {})
    base, tuned = (
        library.generate(QUESTIONS[:1], name, max_new_tokens=12)[0] for name in (None, "first")
    )
    assert capsys.readouterr().out == f"base {base}\nfirst {tuned}\n{tuned}"
