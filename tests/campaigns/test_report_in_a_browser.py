"""The report as a reader uses it, in headless Chromium."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from campaigns.report import render
from tests.campaigns.test_report import context

__all__ = ["context"]


def _binary() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome")
    places = ("/usr/lib/chromium/chromium", os.environ.get("CHROMIUM", ""), *map(shutil.which, names))
    return next((place for place in places if place and Path(place).exists()), None)


@pytest.fixture
def page(context: dict[str, Any], tmp_path: Path) -> Iterator[tuple[Any, list[str]]]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    binary = _binary()
    if binary is None:
        pytest.skip("no Chromium found: apt-get install chromium, or name it in CHROMIUM")
    path = tmp_path / "report.html"
    path.write_text(render(context), encoding="utf-8")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=binary, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1366, "height": 900})
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(path.as_uri())
        yield page, said
        browser.close()


def ranks(page: Any) -> list[str]:
    return [text.strip() for text in page.locator(".candidates tbody tr:visible td:first-child").all_text_contents()]


def test_sorting_and_filtering(page: tuple[Any, list[str]]) -> None:
    sheet, said = page
    assert ranks(sheet) == ["1", "2", "3", "4", "5"]
    sheet.click("th button[data-key=probability]")
    assert ranks(sheet) == ["1", "2", "3", "4", "5"]
    sheet.click("th button[data-key=probability]")
    assert ranks(sheet) == ["5", "4", "3", "2", "1"]
    sheet.click("th button[data-key=value0]")  # Tg >= 350: the highest first
    assert ranks(sheet) == ["1", "2", "3", "4", "5"]
    sheet.click("th button[data-key=value1]")  # minimised: the lowest first
    assert ranks(sheet) == ["5", "4", "3", "2", "1"]
    sheet.fill("#words", "ACETAL polyimide")
    assert ranks(sheet) == ["2"]
    assert sheet.locator("#shown").text_content() == "1 of 1 shown"
    sheet.fill("#words", "")
    sheet.check("#only")
    assert ranks(sheet) == ["4", "3", "2", "1"]
    sheet.locator("#least").fill("0.5")
    assert ranks(sheet) == ["3", "2", "1"]
    sheet.locator("#most").fill("0.7")
    assert ranks(sheet) == ["2", "1"]
    sheet.locator(".lineage summary >> visible=true").first.click()
    assert sheet.locator(".lineage[open] .grid span >> visible=true").count() == 3 * 15
    assert said == []


def test_a_long_list_shows_its_best_and_the_rest_when_asked(context: dict[str, Any], page: tuple[Any, list[str]]) -> None:
    sheet, said = page
    rows = [context["candidates"][0] | {"rank": rank, "id": f"{rank:x}"} for rank in range(1, 41)]
    sheet.goto("about:blank")
    sheet.set_content(render(context | {"candidates": rows}))
    assert ranks(sheet) == [str(rank) for rank in range(1, 26)]
    sheet.click("th button[data-key=rank]")
    assert ranks(sheet) == [str(rank) for rank in range(40, 15, -1)]
    sheet.select_option("#many", "40")
    assert len(ranks(sheet)) == 40
    assert sheet.locator("#shown").text_content() == "40 of 40 shown"
    assert said == []


def test_it_fits_a_laptop_and_prints(page: tuple[Any, list[str]]) -> None:
    sheet, said = page
    assert sheet.evaluate("document.documentElement.scrollWidth") <= 1366
    assert len(sheet.pdf(format="A4", landscape=True)) > 10_000
    sheet.set_viewport_size({"width": 420, "height": 900})
    assert sheet.evaluate("document.documentElement.scrollWidth") <= 420
    assert said == []
