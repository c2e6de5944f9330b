"""Frames of a channel made wrong on purpose: what they say, not how they travel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

_BOOK: Final = '"type":"subscribed/order_book"', '"type":"update/order_book"'


def with_wrong_begin_nonce(frame: str, count: int) -> str:
    """Return a book's update as if it began `count` nonces later than it does."""

    def change(told: dict[str, Any]) -> None:
        told["order_book"]["begin_nonce"] += count

    return _changed(frame, change)


def with_later_offset(frame: str, count: int) -> str:
    """Return a book's frame as of a server that counts `count` offsets more.

    Frames of other channels are returned as they are.
    """

    def change(told: dict[str, Any]) -> None:
        told["offset"] += count
        told["order_book"]["offset"] += count

    return _changed(frame, change) if any(kind in frame for kind in _BOOK) else frame


def padded(frame: str, size: int) -> str:
    """Return a frame of at least `size` characters: the same with a useless field."""
    return f'{{"padding":"{"x" * size}",{frame[1:]}'


def _changed(frame: str, change: Callable[[dict[str, Any]], None]) -> str:
    told = msgspec.json.decode(frame)
    change(told)
    return msgspec.json.encode(told).decode()
