"""Every relative link leads somewhere, and every page can be found."""

from __future__ import annotations

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
FENCE = re.compile(r"^```.*?^```[ ]*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")


def prose(page):
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page):
    """Return the anchors of a page's headings, as the site makes them."""
    found = set()
    for heading in re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE):
        plain = re.sub(r"[^\w\s-]", "", heading.replace("`", "")).strip().lower()
        found.add(re.sub(r"[-\s]+", "-", plain))
    return found


def navigation():
    """Return the pages that the site's navigation names."""
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = text.partition("\nnav:\n")[2]
    return re.findall(r"([\w/-]+\.md)\s*$", listed, re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_to_files_and_headings(page):
    for target in LINK.findall(prose(page)):
        if target.startswith(("https://", "http://")):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{target} does not exist"
        assert ROOT in there.parents, f"{target} leads out of the project"
        if anchor and there.suffix == ".md":
            assert anchor in anchors(there), f"{target}: no such heading"


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: page.name)
def test_pages_of_the_site_link_within_the_site(page):
    for target in LINK.findall(prose(page)):
        if not target.startswith(("https://", "http://", "#")):
            there = (page.parent / target.partition("#")[0]).resolve()
            assert DOCS in there.parents, f"{target} is not part of the site"


def test_the_navigation_names_every_page_once():
    listed = navigation()
    assert sorted(listed) == sorted(
        str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_begins_with_its_only_title(page):
    titles = re.findall(r"^# (.*)$", prose(page), re.MULTILINE)
    if page.name == "changelog.md" and page.parent.name == "project":
        return  # its title comes with the file it includes
    assert len(titles) == 1
    assert page.read_text(encoding="utf-8").startswith("# ")
