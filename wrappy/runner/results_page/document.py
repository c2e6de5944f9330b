"""One file of HTML with everything in it: style, scripts, figures."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

from wrappy.runner.results_page.plotly_script import drawing_script


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A chart, as plotly takes it; a colour such as `@good` is one of the page's.

    Attributes:
        place: id of its element.
        traces: what is drawn.
        layout: axes and such.
    """

    place: str
    traces: list[dict[str, Any]]
    layout: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A table that can be sorted.

    Attributes:
        place: id of its element.
        columns: name, kind and an explanation of each; kinds are `text`,
            `whole`, `number`, `profit`, `percent`, `share` (percent, no colour),
            `time` (unix ms) and `span` (s).
        rows: a value a column, None for none.
    """

    place: str
    columns: list[tuple[str, str, str]]
    rows: list[list[Any]]


@dataclass(slots=True)
class Document:
    """A page as it is put together.

    Attributes:
        title: in the browser's tab.
        parts: of the body, HTML.
        drawings: charts in it.
        grids: sortable tables in it.
    """

    title: str
    parts: list[str] = field(default_factory=list)
    drawings: list[Drawing] = field(default_factory=list)
    grids: list[Grid] = field(default_factory=list)

    def chart(self, drawing: Drawing, *, head: str, note: str = "") -> None:
        """Add a chart over the whole width."""
        height = drawing.layout["height"]
        self.drawings.append(drawing)
        self.parts.append(
            f'<section class="full"><h2>{escape(head)}<small>{escape(note)}</small>'
            f'</h2><div class="chart" id="{drawing.place}" '
            f'style="min-height:{height * 8 // 10}px"></div></section>'
        )

    def grid(self, grid: Grid, *, head: str, note: str = "") -> None:
        """Add a sortable table over the whole width."""
        self.grids.append(grid)
        self.parts.append(
            f'<section class="full" id="{grid.place}"><h2>{escape(head)}'
            f"<small>{escape(note)}</small></h2>"
            '<div class="scroll"><table><thead></thead><tbody></tbody></table></div>'
            '<div class="pager"><button type="button">Back</button><span></span>'
            '<button type="button">Next</button></div></section>'
        )

    def html(self, *, header: str, footer: str) -> str:
        """Return the whole page.

        It carries its scripts and forbids itself everything else: nothing is loaded
        from anywhere and nothing is sent.
        """
        told = json.dumps(
            {
                "charts": [
                    {"place": one.place, "traces": one.traces, "layout": one.layout}
                    for one in self.drawings
                ],
                "grids": [
                    {"place": one.place, "columns": one.columns, "rows": one.rows}
                    for one in self.grids
                ],
            },
            separators=(",", ":"),
            allow_nan=False,
        )
        # Text of others must not be able to end the script element it stands in.
        told = told.replace("<", "\\u003c")
        drawing = drawing_script().replace("</script", "<\\/script")
        scripts = [drawing, _own("page.js")]
        allowed = " ".join(_hashed(script) for script in scripts)
        policy = (
            f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; "
            "img-src data: blob:; base-uri 'none'; form-action 'none'"
        )
        return "".join(
            (
                '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
                f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
                '<meta name="viewport" content="width=device-width, initial-scale=1">',
                '<meta name="color-scheme" content="light dark">',
                f"<title>{escape(self.title)}</title>",
                '<link rel="icon" href="data:,">',
                f"<style>{_own('page.css')}</style></head><body>",
                f"<header>{header}</header><main>{''.join(self.parts)}</main>",
                f"<footer>{footer}</footer>",
                f'<script type="application/json" id="told">{told}</script>',
                *(f"<script>{script}</script>" for script in scripts),
                "</body></html>\n",
            )
        )


def table(
    head: list[str], rows: list[list[str]], *, kind: str = "", mine: int | None = None
) -> str:
    """Return a plain table; cells are HTML already.

    Args:
        head: headings, none for a table without.
        rows: cells.
        kind: its class.
        mine: row that is marked.
    """
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join(
        f"<tr{' class=mine' if at == mine else ''}>"
        + "".join(f"<td>{cell}</td>" for cell in row)
        + "</tr>"
        for at, row in enumerate(rows)
    )
    thead = f"<thead><tr>{top}</tr></thead>" if head else ""
    return (
        f'<div class="scroll"><table class="{kind}">{thead}<tbody>{body}</tbody>'
        "</table></div>"
    )


def section(head: str, content: str, *, note: str = "", kind: str = "") -> str:
    """Return a card of the page; the content is HTML already."""
    return (
        f'<section class="{kind}"><h2>{escape(head)}<small>{escape(note)}</small></h2>'
        f"{content}</section>"
    )


@cache
def _own(name: str) -> str:
    return files("wrappy.runner.results_page").joinpath(name).read_text("utf-8")


def _hashed(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
