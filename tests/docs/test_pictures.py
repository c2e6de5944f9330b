"""Pictures of the examples: on every page, still made, and nothing but themselves."""

from __future__ import annotations

import importlib
import pathlib
import re
import sys
from xml.etree import ElementTree as ET

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs" / "examples").glob("*.md"))
PICTURES = sorted((ROOT / "docs" / "examples" / "pictures").glob("*"))
IMAGE = re.compile(r"^!\[([^\]]*)\]\(pictures/([\w-]+\.svg)\)$", re.MULTILINE)
MOST_BYTES = 60_000
SVG = "{http://www.w3.org/2000/svg}"

sys.path.insert(0, str(ROOT / "docs"))


def heads(svg):
    """Return what the axes of a picture are called."""
    return [
        one.text
        for one in ET.fromstring(svg).iter(f"{SVG}text")  # noqa: S314 - our own
        if one.get("class") == "h"
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_every_example_has_a_picture_with_words_for_who_cannot_see_it(page):
    text = page.read_text(encoding="utf-8")
    found = IMAGE.findall(text)
    assert found
    for words, name in found:
        assert len(words) > 40
        assert page.parent / "pictures" / name in PICTURES
        # What is seen is told below it as well.
        below = text.split(f"(pictures/{name})")[1].split("\n\n")[1]
        assert re.match(r"[A-Z`].+\.$", below), name


def test_every_picture_is_on_a_page():
    shown = {
        name for page in PAGES for _, name in IMAGE.findall(page.read_text("utf-8"))
    }
    assert {path.name for path in PICTURES} == shown


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_a_picture_is_small_and_loads_nothing(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.encode()) < MOST_BYTES
    root = ET.fromstring(text)  # noqa: S314 - our own
    assert root.tag == f"{SVG}svg"
    assert {one.tag.removeprefix(SVG) for one in root.iter()} <= {
        *("svg", "title", "style", "rect", "path", "text"),
    }
    for word in ("http://", "https://", "url(", "@import", "@font-face", "href"):
        assert word not in text.replace("http://www.w3.org/2000/svg", "")
    assert "prefers-color-scheme:dark" in text
    for number in re.findall(r"[MLHV ](-?\d+\.?\d*)", text):
        assert abs(float(number)) < 10_000
    assert "nan" not in text


@pytest.mark.slow
@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_a_picture_is_still_made(path):
    made = importlib.import_module("pictures").drawn(path.stem)
    assert heads(made) == heads(path.read_text(encoding="utf-8"))
    assert len(made.encode()) < MOST_BYTES
    # Something happened: more than empty axes.
    assert made.count("<path") > 4 or made.count("<rect") > 4


@pytest.mark.slow
def test_a_picture_is_the_same_in_every_run():
    pictures = importlib.import_module("pictures")
    assert pictures.drawn("market-maker") == pictures.drawn("market-maker")


def test_an_axis_has_round_numbers_with_as_many_decimals_as_they_need():
    paper = importlib.import_module("drawing.paper")
    assert paper.ticks(0.0, 1.0, 4) == [0.0, 0.5, 1.0]
    assert paper.worded(paper.ticks(-0.11, 0.11, 3)) == ["-0.1", "0.0", "0.1"]
    assert paper.worded(paper.ticks(2_990.0, 3_110.0, 3)) == ["3,000", "3,050", "3,100"]


def test_a_course_keeps_its_extremes_when_it_is_thinned():
    thinned = importlib.import_module("drawing.paper").thinned
    course = [(at / 100, (at * 37) % 101) for at in range(1_000)]
    found = thinned(course)
    assert len(found) < 50
    assert {min(y for _, y in found), max(y for _, y in found)} == {0, 100}
    assert (found[0], found[-1]) == (course[0], course[-1])
