"""The answer no: what stage one and the doors refuse with."""

from __future__ import annotations

from wrappy.protocol.codes import code_message


class Refused(Exception):  # noqa: N818 - the exchange's answer, not a failure of ours
    """Stage one said no.

    Attributes:
        code: the exchange's error code.
        message: its words, the documented ones unless more is known.
    """

    def __init__(self, code: int, message: str = "") -> None:
        words = message or code_message(code)
        super().__init__(f"{code} {words}")
        self.code = code
        self.message = words


class GoneOrder(Refused):
    """Stage one said no, because a cancel or modify names no live order."""


def require(condition: object, code: int, message: str = "") -> None:
    """Refuse with `code` unless `condition` holds.

    Raises:
        Refused: it does not.
    """
    if not condition:
        raise Refused(code, message)
