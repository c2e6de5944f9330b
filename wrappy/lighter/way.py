"""A way to the exchange for one key: its send door and the settling questions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wrappy.errors import ProtocolError, VenueError

if TYPE_CHECKING:
    from collections.abc import Callable

    from wrappy.lighter.doors import SendDoor
    from wrappy.lighter.environment import RestConnection
    from wrappy.lighter.limiter import RequestPace

NONCE_PATH = "/api/v1/nextNonce"
TX_PATH = "/api/v1/tx"
STATUS_PATH = "/"
TX_NOT_FOUND = 21500


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """How one dealer reaches the exchange for one key.

    Attributes:
        account_index: the account.
        api_key_index: the key.
        door: sends signed bytes.
        rest: asks.
        pace: paces both.
        unix_s: our own clock, unix seconds.
    """

    account_index: int
    api_key_index: int
    door: SendDoor
    rest: RestConnection
    pace: RequestPace
    unix_s: Callable[[], float]

    async def next_nonce(self) -> int:
        """Return the exchange's next nonce of the key.

        Raises:
            ProtocolError: the answer has none; it must not become nonce 0.
            VenueError, TransportError: it could not be asked.
        """
        await self.pace.wait(NONCE_PATH)
        answer = await self.rest.get(
            NONCE_PATH,
            {"account_index": self.account_index, "api_key_index": self.api_key_index},
        )
        nonce = answer.get("nonce")
        if isinstance(nonce, bool) or not isinstance(nonce, int) or nonce < 0:
            raise ProtocolError(f"{NONCE_PATH}: nonce {nonce!r} is no nonce")
        return nonce

    async def is_known(self, tx_hash: str) -> bool:
        """Return whether the exchange knows a transaction.

        Raises:
            VenueError, TransportError, ProtocolError: nobody can tell.
        """
        await self.pace.wait(TX_PATH)
        try:
            await self.rest.get(TX_PATH, {"by": "hash", "value": tx_hash})
        except VenueError as error:
            if error.code == TX_NOT_FOUND:
                return False
            raise
        return True

    async def venue_ms(self) -> int:
        """Return the exchange's clock, unix milliseconds rounded down to a second.

        Raises:
            ProtocolError: the answer has no time.
            VenueError, TransportError: it could not be asked.
        """
        await self.pace.wait(STATUS_PATH)
        told = (await self.rest.get(STATUS_PATH)).get("timestamp")
        if isinstance(told, bool) or not isinstance(told, int) or told <= 0:
            raise ProtocolError(f"{STATUS_PATH}: timestamp {told!r} is no time")
        return told * 1000
