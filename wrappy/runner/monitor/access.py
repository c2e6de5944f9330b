"""Who may look: programs and browsers of this machine that know the token."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Final

from wrappy.venue.page import is_local, names_this_machine

if TYPE_CHECKING:
    from collections.abc import Mapping

UNAUTHORIZED: Final = 401
FORBIDDEN: Final = 403
_BEARER: Final = "bearer "


def refusal(
    headers: Mapping[str, str], query: Mapping[str, str], remote: str | None, token: str
) -> tuple[int, str] | None:
    """Return status and words of a refusal, None for whoever may look.

    Args:
        headers: of the request, found in any case of letters.
        query: of the request; `token` is looked for when no header has it.
        remote: address of the client.
        token: what it has to know; empty when nothing.
    """
    host = headers.get("Host", "")
    if not is_local(remote) or not names_this_machine(host):
        # A web site whose name was pointed at this machine sends its own name.
        return FORBIDDEN, "only for programs on this machine"
    origin = headers.get("Origin")
    if origin is not None and origin.partition("://")[2] != host:
        return FORBIDDEN, "not for pages of other sites"
    if not token:
        return None
    given = headers.get("Authorization", "")
    if given[: len(_BEARER)].lower() == _BEARER:
        given = given[len(_BEARER) :]
    else:
        given = query.get("token", "")
    # Compared in a time that does not tell how much of it was right.
    if hmac.compare_digest(given.strip().encode(), token.encode()):
        return None
    return UNAUTHORIZED, "the token is missing or wrong; the bot printed the address"
