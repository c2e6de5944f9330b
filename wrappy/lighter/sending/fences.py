"""Fences: harmless transactions that spend a number, so that nothing else can.

A fence is written into the journal before it is sent, like everything that is
signed: its own answer may be lost too.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

from wrappy._core.journal_rows import JournalEntry, SendStage
from wrappy.lighter.persistence.coi_store import coi_store
from wrappy.protocol.intents import CancelOrder, TxType
from wrappy.protocol.transactions import parse_tx_info

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from wrappy.lighter.config import DealerConfig
    from wrappy.lighter.persistence.coi_store import OrderNumbers
    from wrappy.lighter.persistence.journal import Journal
    from wrappy.protocol.intents import SignedTx
    from wrappy.signing import Signer
    from wrappy.signing.worker import SigningThread

RESEND_MARGIN_MS = 1_000
"""Time that a fence must have left to be sent a second time."""


class InDoubt(Protocol):
    """What a fence has to know of the transaction that it fences."""

    @property
    def nonce(self) -> int:
        """Its number."""

    @property
    def tx_type(self) -> int:
        """Its type, by the number on the wire."""

    @property
    def market_index(self) -> int | None:
        """The market it touches; None for none."""

    @property
    def client_order_index(self) -> int | None:
        """The order it creates or touches; None for none or several."""


@dataclass(frozen=True, slots=True)
class SignedInDoubt:
    """`InDoubt`, as far as signed bytes tell.

    Attributes:
        nonce: its number.
        tx_type: its type, by the number on the wire.
        market_index: the market it touches; None for none.
        client_order_index: the order it cancels, by either number. None for all
            else: the number of a new order may be that of a live one, which would
            explain a refusal, and the live one is not to be taken away.
    """

    nonce: int
    tx_type: int
    market_index: int | None
    client_order_index: int | None

    @classmethod
    def of(cls, tx: SignedTx) -> SignedInDoubt:
        """Read what a transaction acts on out of what was signed."""
        fields = parse_tx_info(tx.tx_info)
        is_cancel = tx.tx_type == TxType.CANCEL_ORDER
        return cls(
            tx.nonce,
            int(tx.tx_type),
            fields.get("MarketIndex"),
            fields.get("Index") if is_cancel else None,
        )


@dataclass(frozen=True, slots=True)
class FenceInk:
    """What fences of one key are signed with.

    Attributes:
        signer: signs for the key.
        worker: signs and writes off the event loop.
        unix_s: unix seconds.
        config: complete settings.
        order_numbers: makes the source of client order indices.
    """

    signer: Signer
    worker: SigningThread
    unix_s: Callable[[], float]
    config: DealerConfig
    order_numbers: Callable[[str | None], OrderNumbers] = coi_store

    def maker(
        self, transactions: Iterable[SignedTx], journal: Journal | None
    ) -> FenceMaker:
        """Return what makes fences against transactions."""
        return FenceMaker(
            (SignedInDoubt.of(tx) for tx in transactions),
            journal=journal,
            signer=self.signer,
            worker=self.worker,
            unix_s=self.unix_s,
            config=self.config,
            order_numbers=self.order_numbers,
        )


class FenceMaker:
    """Makes the fences of one key.

    Args:
        entries: what is in doubt.
        journal: where fences are written; None for nowhere.
        signer: signs for the key.
        worker: signs and writes off the event loop.
        unix_s: unix seconds.
        config: complete settings.
        order_numbers: makes the source of client order indices.

    Attributes:
        made: transactions signed so far.
    """

    def __init__(
        self,
        entries: Iterable[InDoubt],
        *,
        journal: Journal | None,
        signer: Signer,
        worker: SigningThread,
        unix_s: Callable[[], float],
        config: DealerConfig,
        order_numbers: Callable[[str | None], OrderNumbers] = coi_store,
    ) -> None:
        self.made = 0
        self._order_numbers = order_numbers
        self._entries = tuple(entries)
        self._journal = journal
        self._signer = signer
        self._worker = worker
        self._unix_s = unix_s
        self._config = config
        self._last: tuple[SignedTx, ...] = ()

    async def make(self, nonces: range) -> tuple[SignedTx, ...]:
        """Return a signed fence that is in the journal, where there is one.

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
        if self._journal is None:
            return tuple(signed)
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

        Of a cancel it is the same cancel. For everything else it names an order that
        never was, also for a new order in doubt: that one's number may be a live
        order's, of which the doubtful one is a copy that the exchange will refuse.
        """
        rows = [entry for entry in self._entries if entry.nonce == nonce]
        for row in rows:
            number, market = row.client_order_index, row.market_index
            is_cancel = row.tx_type == TxType.CANCEL_ORDER
            if is_cancel and market is not None and number is not None:
                return CancelOrder(market, number)
        markets = [row.market_index for row in rows if row.market_index is not None]
        market = markets[0] if markets else self._config.market_index or 0
        return CancelOrder(market, self._order_numbers(self._config.state_dir).next())
