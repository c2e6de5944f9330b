"""A frame's whole content as plain objects, for what is handed on as it came."""

from __future__ import annotations

from typing import Any

import msgspec

from wrappy.errors import ProtocolError


def message_in(raw: bytes) -> dict[str, Any]:
    """Return a frame's content.

    Raises:
        ProtocolError: it is no JSON object.
    """
    try:
        message = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"a frame is no JSON: {error}") from None
    if not isinstance(message, dict):
        raise ProtocolError(f"a frame is a {type(message).__name__}, no object")
    return message
