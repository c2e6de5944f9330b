"""The page on which a person watches a bot trade: one file, nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files
from ipaddress import ip_address
from typing import Final

PAGE_PATH: Final = "/venue/"
STATE_PATH: Final = "/venue/state"

_INLINE: Final = re.compile(rb"<(script|style)>(.*?)</\1>", re.DOTALL)


@cache
def page() -> bytes:
    """Return the page."""
    return files("wrappy.venue").joinpath("page.html").read_bytes()


@cache
def page_headers() -> dict[str, str]:
    """Return the headers it is served with."""
    return headers_for(page())


def headers_for(text: bytes) -> dict[str, str]:
    """Return the headers that a page is served with.

    They let the browser run its script and its style and nothing else, and talk to
    nobody but the server it came from.

    Args:
        text: the page, with all of it inside.
    """
    allowed: dict[bytes, list[str]] = {b"script": [], b"style": []}
    for kind, inner in _INLINE.findall(text):
        digest = base64.b64encode(hashlib.sha256(inner).digest()).decode()
        allowed[kind].append(f"'sha256-{digest}'")
    rules = [
        "default-src 'none'",
        "script-src " + " ".join(allowed[b"script"]),
        "style-src " + " ".join(allowed[b"style"]),
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
    return {"Content-Security-Policy": "; ".join(rules), **WATCHED_HEADERS}


WATCHED_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Headers of everything that is shown to a browser."""


def is_local(address: str | None) -> bool:
    """Return whether an address is this machine's own."""
    try:
        return ip_address(address or "").is_loopback
    except ValueError:
        return False


def names_this_machine(host: str) -> bool:
    """Return whether a `Host` header is what a browser here sends for this machine.

    A web site whose name was pointed here afterwards sends its own name.
    """
    name = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
    return name.lower() == "localhost" or is_local(name.strip("[]"))
