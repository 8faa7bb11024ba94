"""The page: it is well-formed, loads nothing, and says what was found."""

from __future__ import annotations

import math
import re
from html.parser import HTMLParser

import pytest
import torch

from insight.planting import evidence, network
from seriatim.insight.checks.table import run_checks
from seriatim.insight.followers import Follower
from seriatim.insight.report.chart import Axis, Line, bars, chart
from seriatim.insight.report.page import render
from seriatim.insight.sample import Sample
from seriatim.insight.verdict import verdict

VOID = {"meta", "line", "polyline", "polygon", "rect"}


class Balance(HTMLParser):
    """Follow the tags of a page and refuse those that do not match."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def page(**others: object) -> str:
    case = evidence(network("lstm", layers=2), **others)
    checks = run_checks(case)
    return render("Inspection of a<b", case, checks, verdict(case, checks))


def test_page_is_well_formed_and_self_contained() -> None:
    text = page()
    balance = Balance()
    balance.feed(text)
    assert balance.open == []
    assert not re.search(r"<script|<link|<img|@import|url\(|https?://", text)
    assert "nan" not in re.sub(r"<style>.*</style>", "", text, flags=re.S).lower().split()


def test_page_escapes_what_it_is_given() -> None:
    text = Sample(("<i>", "&"), (), '"x"', (0.5, -1.0), 0.0, torch.randn(2, 5))
    text = page(samples=[text])
    assert "&lt;i&gt;" in text and "<i>" not in text and "a&lt;b" in text


def test_page_shows_verdict_checks_and_layers() -> None:
    text = page(need=90, limit=20)
    assert "the data repay about 90" in text
    assert "--truncation 20,150" in text and "✗ fault" in text
    assert "layer 2 (lstm)" in text and "Lyapunov exponents" in text and "truncation 20" in text


def test_checks_that_could_not_be_measured_are_folded() -> None:
    text = page()
    assert "checks could not be measured here" in text
    folded = text[text.index("<details>") : text.index("</details>")]
    assert "– unknown" in folded and "✓ ok" not in folded
    assert "– unknown" not in text.replace(folded, "")


def test_page_lists_units_that_follow_something() -> None:
    text = page(followers=[Follower("depth of brackets", 7, -0.91, 0.2)])
    assert "depth of brackets" in text and "-0.91" in text


def test_page_without_measures_has_the_checks_alone() -> None:
    case = evidence(limit=0, data=evidence().data)
    text = render("empty", case, run_checks(case), "nothing")
    assert "Inside the layers" not in text and "Checks" in text


def test_numbers_are_drawn_with_their_attribution() -> None:
    sample = Sample((), (1.0, 2.0, 3.0), "4", (0.1, 0.2, 0.3), 0.0, None)
    assert "attribution, scaled" in page(samples=[sample])


@pytest.mark.parametrize("is_log", [False, True])
def test_chart_leaves_out_what_an_axis_cannot_show(is_log: bool) -> None:
    points = [(0.0, 1.0), (1.0, 0.0), (2.0, 3.0), (3.0, math.nan), (4.0, math.inf), (5.0, 9.0)]
    svg = chart(Axis("x", is_log), Axis("y", is_log), [Line("one", points)])
    count = len(re.search(r'<polyline class="line c0" points="([^"]*)"', svg)[1].split())
    assert count == (2 if is_log else 4)


def test_points_keep_their_order_on_both_axes() -> None:
    svg = chart(Axis("x"), Axis("y"), [Line("one", [(0, 0), (1, 10)])])
    (first, second) = re.search(r'points="([^"]*)"', svg)[1].split()
    assert float(first.split(",")[0]) < float(second.split(",")[0])
    assert float(first.split(",")[1]) > float(second.split(",")[1])


def test_chart_of_nothing_says_so() -> None:
    assert "nothing to draw" in chart(Axis("x"), Axis("y"), [Line("one", [])], title="loss")


@pytest.mark.parametrize("values", [[5.0, 5.0], [0.0, 0.0], [1e-9, 1e9]])
def test_any_range_can_be_drawn(values: list[float]) -> None:
    for is_log in (False, True):
        assert chart(Axis("x"), Axis("y", is_log), [Line("", list(enumerate(values, 1)))])


def test_longer_horizons_have_longer_bars() -> None:
    svg = bars([("a", 3.0, "3"), ("b", 300.0, "300"), ("none", 0.0, "0")], [(35.0, "truncation 35")])
    widths = [float(width) for width in re.findall(r'width="([\d.]+)"', svg)]
    assert widths[1] > widths[0] > widths[2]
    assert "truncation 35" in svg
