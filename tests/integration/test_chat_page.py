"""The chat page in a real browser: what it shows is what the interface answers."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.integration.served import DEMO, QUESTIONS, Served, demo_adapter, post, serving

from lorafw.inference.generation.live_batch import LiveBatch
from lorafw.serving.catalogue_loading import load_catalogue

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page
    from torch import Tensor

    from lorafw.serving.catalogue import Catalogue

pytestmark = pytest.mark.browser

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
LONGEST = 30
SIZES = {"wide": (1280, 800), "phone": (390, 844)}


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    adapter = demo_adapter(tmp_path_factory.mktemp("adapters") / "tuned", 0)
    return load_catalogue(DEMO, [("tuned", str(adapter))], name="base", device="cpu")


@pytest.fixture(scope="module")
def server(catalogue: Catalogue) -> Iterator[Served]:
    with serving(catalogue) as served:
        yield served


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no chromium is installed on this machine")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=chromium, args=FLAGS)
        yield found
        found.close()


@pytest.fixture(params=SIZES)
def page(request: pytest.FixtureRequest, browser: Browser, server: Served) -> Iterator[Page]:
    width, height = SIZES[request.param]
    opened = browser.new_page(viewport={"width": width, "height": height})
    yield from _watched(opened, server.url)


@pytest.fixture
def one_page(browser: Browser, server: Served) -> Iterator[Page]:
    yield from _watched(browser.new_page(), server.url)


def _watched(page: Page, url: str) -> Iterator[Page]:
    """A page on which nothing goes wrong unseen and that asks nobody else for anything."""
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda r: None if r.url.startswith((url, "data:")) else faults.append(r.url))
    page.goto(url)
    page.locator(".chip").first.wait_for()
    yield page
    page.close()
    assert not faults


def ask(page: Page, question: str, answers: int) -> None:
    """Type a question and wait until so many answers in all have ended."""
    from playwright.sync_api import expect

    page.get_by_label("Your message").fill(question)
    page.keyboard.press("Enter")
    expect(page.locator(".answer")).to_have_count(answers)
    expect(page.locator(".growing")).to_have_count(0, timeout=30_000)


def by_interface(server: Served, model: str, *turns: str) -> str:
    roles = ["user", "assistant"] * len(turns)
    messages = [{"role": r, "content": c} for r, c in zip(roles, turns, strict=False)]
    body = {"model": model, "messages": messages, "temperature": 0, "max_tokens": LONGEST}
    _, told = post(f"{server.url}/v1/chat/completions", body)
    return str(told["choices"][0]["message"]["content"])  # type: ignore[index]


def picture(page: Page, name: str) -> None:
    if folder := os.environ.get("LORAFW_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}-{page.viewport_size['width']}.png")  # type: ignore[index]


def test_base_and_adapter_answer_side_by_side(page: Page, server: Served) -> None:
    first, second = QUESTIONS[:2]
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("Longest answer").fill(str(LONGEST))
    picture(page, "settings")
    page.get_by_role("button", name="Settings").click()
    ask(page, first, answers=2)
    ask(page, second, answers=4)
    shown = page.locator(".answer .text").all_text_contents()
    for at, model in enumerate(("base", "tuned")):
        earlier = by_interface(server, model, first)
        assert shown[at] == earlier
        assert shown[at + 2] == by_interface(server, model, first, earlier, second)
    assert shown[0] != shown[1]
    boxes = [page.locator(".answer").nth(at).bounding_box() for at in (0, 1)]
    assert boxes[0] is not None
    assert boxes[1] is not None
    wide = page.viewport_size is not None and page.viewport_size["width"] > 640
    assert (boxes[0]["y"] == boxes[1]["y"]) is wide
    overflow = page.locator("html").evaluate("page => page.scrollWidth - page.clientWidth")
    assert overflow == 0
    picture(page, "answers")


def test_what_is_said_is_text(one_page: Page) -> None:
    ask(one_page, "<img src=x onerror=alert(1)><b>bold</b>", answers=2)
    assert one_page.locator(".asked").text_content() == "<img src=x onerror=alert(1)><b>bold</b>"
    assert one_page.locator("#turns b, #turns img").count() == 0


def test_stop_gives_answers_up(
    one_page: Page, server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    from playwright.sync_api import expect

    step = LiveBatch.step

    def slow_step(batch: LiveBatch, tokens: Sequence[int]) -> Tensor:
        time.sleep(0.05)
        return step(batch, tokens)

    monkeypatch.setattr(LiveBatch, "step", slow_step)
    one_page.get_by_role("button", name="base").click()  # whose answers are short
    one_page.get_by_label("Your message").fill("Hello!")
    one_page.get_by_role("button", name="Send").click()
    expect(one_page.locator(".text")).not_to_be_empty()
    picture(one_page, "growing")
    one_page.get_by_role("button", name="Stop").click()
    expect(one_page.locator(".growing")).to_have_count(0)
    expect(one_page.locator(".figures")).to_contain_text("stopped")
    assert server.comes_to_rest()
    expect(one_page.get_by_role("button", name="Send")).to_be_visible()


def test_a_fault_is_shown_with_the_answer(one_page: Page) -> None:
    ask(one_page, "koala " * 400, answers=2)
    alerts = one_page.get_by_role("alert").all_text_contents()
    assert len(alerts) == 2
    assert all("context is 256 tokens" in alert for alert in alerts)
    picture(one_page, "fault")


def test_a_key_is_asked_for_and_used(browser: Browser, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    adapter = demo_adapter(tmp_path / "tuned", 0)
    catalogue = load_catalogue(DEMO, [("tuned", str(adapter))], name="base", device="cpu")
    with serving(catalogue, key="a secret") as served:
        page = browser.new_page()
        page.goto(served.url)
        expect(page.get_by_role("alert")).to_contain_text("key")
        picture(page, "key")
        page.get_by_label("API key").fill("a secret")
        page.get_by_label("API key").press("Tab")
        expect(page.locator(".chip")).to_have_count(2)
        ask(page, "Hello!", answers=2)
        assert page.get_by_role("alert").count() == 0
        page.close()
