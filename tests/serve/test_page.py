"""The page in a real browser, without a network and with the page's own content security policy."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest

from .conftest import GOLDEN

webdriver = pytest.importorskip("selenium.webdriver")
BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
WAIT = 60


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if BROWSER is None or DRIVER is None:
        pytest.skip("chromium or chromedriver is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for argument in (
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
        "--no-first-run", "--no-proxy-server", "--disable-component-update", "--disable-sync",
    ):  # fmt: skip
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    opened.set_window_size(1200, 1000)
    yield opened
    opened.quit()


@pytest.fixture
def open_page(browser, start_server):
    """A function that opens the page of a golden export, and checks at the end that the browser logged no fault."""

    def open_page(name: str, **options: Any) -> Any:
        server = start_server(name, **options)
        browser.get(server.url)
        if "api_key" not in options:
            until(browser, "document.body.dataset.ready")
        return server

    browser.get_log("browser")
    yield open_page
    faults = [entry for entry in browser.get_log("browser") if "401 (Unauthorized)" not in entry["message"]]
    browser.get("about:blank")
    assert faults == []


def until(browser: Any, condition: str) -> Any:
    """Wait until a JavaScript expression is true, and return it."""
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, WAIT, 0.05).until(lambda driver: driver.execute_script(f"return {condition}"))


def type_text(browser: Any, text: str) -> None:
    browser.find_element("id", "text").send_keys(text)


def test_a_language_model_shows_what_comes_next(browser, open_page, language_model):
    server = open_page("language-lstm")
    type_text(browser, "to b")
    until(browser, "document.querySelectorAll('#surprise span').length == 4")
    stream = language_model.stream()
    for unit in "to b":
        scores = stream.step(unit)
    best = language_model.vocabulary.tokens[int(scores.argmax())].replace(" ", "␣")
    first = until(browser, "document.querySelector('#next .word')?.textContent")
    assert first == best and server.service.sessions.steps_taken == 4
    pixels = "document.getElementById('hidden').getContext('2d').getImageData(0, 0, 300, 150).data.some((v) => v)"
    assert browser.execute_script(f"return {pixels}")
    browser.execute_script("document.querySelector('#next button').click()")  # a bar adds its unit
    until(browser, "document.getElementById('text').value.length == 5")
    type_text(browser, "\ue003\ue003x")  # two backspaces: another session with the shorter text
    until(browser, "document.getElementById('text').value == 'to x'")
    until(browser, "document.getElementById('surprise').textContent == 'to x'")
    assert browser.execute_script("return document.getElementById('status').textContent") == ""


def test_a_language_model_writes_on_until_it_is_stopped(browser, open_page):
    open_page("language-lstm")
    until(browser, "document.getElementById('next').textContent")
    browser.find_element("id", "play").send_keys("\n")  # by keyboard
    until(browser, "document.getElementById('text').value.length > 8")
    browser.find_element("id", "play").send_keys("\n")
    until(browser, "document.getElementById('play').textContent == 'Write on'")


def test_text_is_read_in_whole_units(browser, open_page):
    open_page("regress")
    script = """const [text, unit, done] = arguments;
        import('/page/language.js').then((page) => done(page.wholeUnits(text, unit)));"""
    for text, unit, expected in (
        ("hell", "char", "hell"), ("the sea is", "word", "the sea "), ("sea", "word", ""),
        ("the sea is", "bpe", "the sea"), ("hello", "bpe", ""), ("", "bpe", ""),
    ):  # fmt: skip
        assert browser.execute_async_script(script, text, unit) == expected, (text, unit)


def test_a_session_ends_with_its_page(browser, open_page):
    server = open_page("language-lstm")
    type_text(browser, "to be")
    until(browser, "document.querySelectorAll('#surprise span').length == 5")
    assert server.service.sessions.live == 1
    browser.get("about:blank")
    for _ in range(100):
        if server.service.sessions.live == 0:
            break
        time.sleep(0.05)
    assert server.service.sessions.live == 0


def test_a_classifier_shows_its_mind_after_each_word(browser, open_page):
    open_page("classify-max")
    type_text(browser, "the sea is warm today")
    until(browser, "document.querySelectorAll('.words li').length == 5")
    assert browser.execute_script("return document.querySelectorAll('svg .trace').length") >= 2


def test_a_forecaster_draws_the_fan_of_a_pasted_table(browser, open_page):
    server = open_page("forecast")
    browser.find_element("id", "example").click()
    until(browser, "document.querySelectorAll('svg .fan').length >= 1")
    rows = "document.querySelectorAll('table tbody tr').length"
    assert browser.execute_script(f"return {rows}") == server.models.current.model.horizon
    browser.find_element("id", "text").clear()
    type_text(browser, "date,value\n2026-01-01,x\n")
    until(browser, "document.getElementById('status').textContent.includes('columns of numbers')")


def test_a_tagger_shows_the_tag_of_each_word(browser, open_page):
    open_page("tag-crf")
    type_text(browser, "The dog sat")
    until(browser, "document.querySelectorAll('.words small').length == 3")


def test_a_translator_shows_its_text_and_alignment(browser, open_page):
    server = open_page("translate")
    type_text(browser, "the sea and dog are sun")
    until(browser, "document.getElementById('translation')")
    shown = server.models.current.model.align("the sea and dog are sun")
    cells = browser.execute_script("return document.querySelectorAll('table.matrix td').length")
    expected = len(shown["target"]) * len(shown["source"])
    assert cells == (expected + 1 if expected else 0)


def test_other_models_take_rows_as_json(browser, open_page):
    open_page("regress")
    browser.find_element("id", "predict").click()
    until(browser, "document.getElementById('result').textContent.includes('quantiles')")


def test_the_key_is_asked_for(browser, open_page):
    key = "a-key-of-sixteen-characters"
    open_page("classify-max", api_key=key)
    until(browser, "!document.getElementById('key-form').hidden")
    assert browser.find_element("id", "status").text == ""
    browser.find_element("id", "key").send_keys("another-key-of-a-server\n")
    until(browser, "document.getElementById('status').textContent == 'This is not the key of this server.'")
    browser.find_element("id", "key").clear()
    browser.find_element("id", "key").send_keys(f"{key}\n")
    until(browser, "document.body.dataset.ready")
    assert browser.find_element("id", "status").text == ""
    type_text(browser, "the sea")
    until(browser, "document.querySelectorAll('.words li').length == 2")
    browser.execute_script("sessionStorage.clear()")


@pytest.mark.parametrize("name", ["language-lstm", "classify-max", "forecast", "translate"])
def test_the_page_fits_a_phone(browser, open_page, name):
    browser.set_window_size(390, 800)
    try:
        open_page(name)
        type_text(browser, "the sea is warm " * 6) if name != "forecast" else browser.find_element(
            "id", "example"
        ).click()
        until(browser, "document.querySelector('svg, #surprise span, #translation')")
        assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    finally:
        browser.set_window_size(1200, 1000)


def test_the_page_needs_nothing_from_elsewhere():
    for file in files("seriatim.serve").joinpath("page").iterdir():
        text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text and "https://" not in text and "//cdn" not in text, file.name
        assert "innerHTML" not in text and "eval(" not in text, file.name


def test_every_golden_task_has_a_view():
    assert {path.name.partition("-")[0] for path in GOLDEN.iterdir()} <= {
        "language", "classify", "regress", "forecast", "tag", "translate", "caption"
    }  # fmt: skip
