"""A way to the exchange for one key: its send door and the settling questions."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wrappy._core.settlement import GRACE_MS
from wrappy.errors import ProtocolError, RequestTimeoutError, VenueError
from wrappy.lighter.wire.venue_time import ask_venue_s

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wrappy.lighter.environment import RestConnection
    from wrappy.lighter.pacing.limiter import RequestPace
    from wrappy.lighter.sending.fences import FenceInk
    from wrappy.lighter.wire.doors import SendDoor, SendReply
    from wrappy.protocol.intents import SignedTx

NONCE_PATH = "/api/v1/nextNonce"
TX_PATH = "/api/v1/tx"
TX_NOT_FOUND = 21500

LEAST_PATIENCE_S = 1.0
"""However little time signed bytes have left, an answer may take so long."""


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
        ink: what fences are signed with; None where nothing new is signed.
        timeout_s: how long the door itself waits for an answer.
    """

    account_index: int
    api_key_index: int
    door: SendDoor
    rest: RestConnection
    pace: RequestPace
    unix_s: Callable[[], float]
    ink: FenceInk | None = None
    timeout_s: float = math.inf

    async def send(
        self,
        transactions: Sequence[SignedTx],
        *,
        written: Callable[[], None] | None = None,
        expired_at_ms: int | None = None,
    ) -> SendReply:
        """Send, and wait for the answer no longer than it can tell anything.

        When its time is over, a transaction has been accepted or never will be: then
        asking for its hash tells, and waiting on does not.

        Args:
            transactions: the signed bytes.
            written: as in `SendDoor.send`.
            expired_at_ms: when what this is about is over, unix milliseconds; None
                for when the last of these is.

        Raises:
            RequestTimeoutError: no answer came in time.
            VenueError, TransportError: as the door has it.
        """
        if expired_at_ms is None:
            expired_at_ms = max(tx.expired_at_ms for tx in transactions)
        left_s = (expired_at_ms + GRACE_MS) / 1000 - self.unix_s()
        sending = self.door.send(transactions, written=written)
        if left_s >= self.timeout_s:
            return await sending
        try:
            return await asyncio.wait_for(sending, max(LEAST_PATIENCE_S, left_s))
        except asyncio.TimeoutError as error:
            raise RequestTimeoutError(
                "no answer while the transactions lived"
            ) from error

    async def next_nonce(self) -> int:
        """Return the exchange's next nonce of the key.

        Raises:
            ProtocolError: the answer has none; it must not become nonce 0.
            VenueError, TransportError: it could not be asked.
        """
        await self.pace.wait(NONCE_PATH, urgent=True)
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
        await self.pace.wait(TX_PATH, urgent=True)
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
        return 1000 * await ask_venue_s(self.rest, self.pace)
