"""What a channel's state has to offer to the connection that feeds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    Tell: TypeAlias = Callable[[str, Any], None]


class Feed(Protocol):
    """The state of one channel, shared by all overlays that want it."""

    def take(self, raw: bytes, *, snapshot: bool) -> bool:
        """Take one frame of the channel, as it came from the exchange.

        Args:
            raw: the whole frame, JSON.
            snapshot: whether it answers the subscription; else it is an update.

        Returns:
            Whether the state is sound; if not, a fresh snapshot is asked for.

        Raises:
            ProtocolError: the frame cannot be read. The feed has made itself
                unreadable where old values would mislead.
        """

    def lost(self, reason: str) -> None:
        """Note that changes are missed from here on, until the next snapshot."""
