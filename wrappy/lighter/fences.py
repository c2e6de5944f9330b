"""Fences: harmless transactions that spend a number, so that nothing else can.

A fence is written into the journal before it is sent, like everything that is
signed: its own answer may be lost too.
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

from wrappy._core.journal_rows import JournalEntry, SendStage
from wrappy.lighter.coi_store import coi_store
from wrappy.protocol.intents import CancelOrder, TxType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from wrappy.lighter.config import DealerConfig
    from wrappy.lighter.journal import Journal
    from wrappy.protocol.intents import SignedTx
    from wrappy.signing import Signer
    from wrappy.signing.worker import SigningThread

RESEND_MARGIN_MS = 1_000
"""Time that a fence must have left to be sent a second time."""

_CANCELLED_AGAIN = frozenset(
    {TxType.CREATE_ORDER, TxType.CREATE_GROUPED_ORDERS, TxType.CANCEL_ORDER}
)


class FenceMaker:
    """Makes the fences of one key.

    Args:
        entries: what is in doubt.
        journal: where fences are written.
        signer: signs for the key.
        worker: signs and writes off the event loop.
        unix_s: unix seconds.
        config: complete settings.

    Attributes:
        made: transactions signed so far.
    """

    def __init__(
        self,
        entries: Iterable[JournalEntry],
        *,
        journal: Journal,
        signer: Signer,
        worker: SigningThread,
        unix_s: Callable[[], float],
        config: DealerConfig,
    ) -> None:
        self.made = 0
        self._entries = tuple(entries)
        self._journal = journal
        self._signer = signer
        self._worker = worker
        self._unix_s = unix_s
        self._config = config
        self._last: tuple[SignedTx, ...] = ()

    async def make(self, nonces: range) -> tuple[SignedTx, ...]:
        """Return a signed fence that is in the journal.

        One for the same numbers that was neither taken nor refused is used again.

        Raises:
            JournalError: it is not on disk and must not be sent.
            SignerError: it cannot be signed.
        """
        if not self._is_fresh(nonces):
            self._last = await self._worker.run(partial(self._sign, nonces))
            self.made += len(nonces)
        return self._last

    def forget(self) -> None:
        """Make the next fence anew: the last one was taken or refused."""
        self._last = ()

    def _is_fresh(self, nonces: range) -> bool:
        now_ms = self._unix_s() * 1000
        return [tx.nonce for tx in self._last] == list(nonces) and all(
            tx.expired_at_ms - RESEND_MARGIN_MS > now_ms for tx in self._last
        )

    def _sign(self, nonces: range) -> tuple[SignedTx, ...]:
        intents = [self._harmless(nonce) for nonce in nonces]
        signed = self._signer.sign_many(intents, first_nonce=nonces.start)
        self._journal.write(
            [
                JournalEntry(
                    nonce=tx.nonce,
                    tx_type=int(tx.tx_type),
                    tx_hash=tx.tx_hash,
                    tx_info=tx.tx_info,
                    expired_at_ms=tx.expired_at_ms,
                    market_index=intent.market_index,
                    client_order_index=intent.index,
                    group_indices=(),
                    batch=nonces.start,
                    stage=SendStage.SIGNED,
                    written_ms=int(self._unix_s() * 1000),
                    intent=json.dumps({"fence": tx.nonce}),
                )
                for intent, tx in zip(intents, signed, strict=True)
            ]
        )
        return tuple(signed)

    def _harmless(self, nonce: int) -> CancelOrder:
        """Return a cancel that takes nothing away that anybody still wants.

        Of an order whose creation is in doubt it cancels what must not come to be;
        of a cancel it is the same cancel. A modification in doubt leaves its order
        as it is: there, and for everything else, the cancel names an order that
        never was.
        """
        rows = [entry for entry in self._entries if entry.nonce == nonce]
        for row in rows:
            number = row.client_order_index or next(iter(row.group_indices), None)
            if (
                row.tx_type in _CANCELLED_AGAIN
                and row.market_index is not None
                and number is not None
            ):
                return CancelOrder(row.market_index, number)
        markets = [row.market_index for row in rows if row.market_index is not None]
        market = markets[0] if markets else self._config.market_index or 0
        return CancelOrder(market, coi_store(self._config.state_dir).next())
