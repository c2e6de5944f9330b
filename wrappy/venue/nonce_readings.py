"""What else may become of nonces and checks: readings that the documents leave open.

By default a nonce is the key's next or refused, consumed once it is accepted, and what
is accepted was judged when it came. Here is what happens where it is set otherwise:
nonces ahead are held until their turn, those of some transactions that come to nothing
are given back, transactions are judged when they are executed, and every order that
crosses waits the taker's delay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from wrappy._core.matching import CANCELED_MARGIN
from wrappy.model import TimeInForce
from wrappy.venue.orders import PENDING_TYPES
from wrappy.venue.records import Receipt, TxRecord
from wrappy.venue.refusal import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from wrappy.venue.accounts import Account
    from wrappy.venue.checks import Rules
    from wrappy.venue.market_state import MarketState
    from wrappy.venue.orders import VenueOrder
    from wrappy.venue.settings import VenueSettings

Item = tuple[int, "Mapping[str, Any]", str]
INVALID_NONCE: Final = 21104
INVALID_TX: Final = 21501


class NonceReadings:
    """Nonces ahead of their turn, nonces given back, and checks that come late.

    Args:
        settings: the exchange's.
        accounts: by index.
        rules: of stage one.
    """

    def __init__(
        self, settings: VenueSettings, accounts: Mapping[int, Account], rules: Rules
    ) -> None:
        self._window = settings.nonce_window
        self._returns = settings.failed_nonce == "returned"
        self._judges_late = settings.checks_at == "execution"
        self._accounts = accounts
        self._rules = rules
        self._held: dict[tuple[int, int], dict[int, Item]] = {}
        self._void: set[str] = set()

    # Ahead of their turn

    def hold(self, item: Item, now_us: int) -> Receipt | None:
        """Keep a transaction whose nonce is a little ahead; None if it is not.

        Raises:
            Refused: there is no such account or key.
        """
        if not self._window:
            return None
        tx_type, info, tx_hash = item
        account, key = self._rules.owner(info, tx_type)
        nonce = info.get("Nonce")
        if not isinstance(nonce, int) or not 0 < nonce - key.nonce <= self._window:
            return None
        self._held.setdefault((account.index, key.api_key_index), {})[nonce] = item
        return Receipt(tx_hash, now_us + account.tier.maker_delay_ms * 1_000)

    def next_held(self, record: TxRecord) -> Item | None:
        """Return what waited for this transaction, and is then held no more."""
        waiting = self._held.get(_key_of(record))
        if not waiting:
            return None
        following = record.nonce + 1
        for nonce in [nonce for nonce in waiting if nonce < following]:
            del waiting[nonce]
        return waiting.pop(following, None)

    # When they are executed

    def failure(
        self, record: TxRecord, queue: Iterable[tuple[int, int, object]], at_us: int
    ) -> Refused | None:
        """Return why a transaction cannot be carried out any more, or None."""
        if record.tx_hash in self._void:
            return Refused(INVALID_NONCE)
        # What a recorded market holds back has arrived, and does not grow old.
        if record.info["ExpiredAt"] * 1_000 <= at_us - record.held_us:
            self._give_back(record, queue)
            return Refused(INVALID_TX, "invalid tx info: ExpiredAt has passed")
        if self._judges_late:
            account, kind = self._accounts[record.account], record.tx_type
            try:
                self._rules.check(account, kind, record.info, now_ms=at_us // 1_000)
            except Refused as refusal:
                return refusal
        return None

    def carried_out(
        self,
        record: TxRecord,
        order: VenueOrder | None,
        queue: Iterable[tuple[int, int, object]],
    ) -> None:
        """Look at what a transaction came to."""
        if order is not None and order.status == CANCELED_MARGIN:
            self._give_back(record, queue)

    def _give_back(
        self, record: TxRecord, queue: Iterable[tuple[int, int, object]]
    ) -> None:
        # What waits behind it with a higher nonce of the same key can then only fail.
        if not self._returns:
            return
        key = self._accounts[record.account].api_keys[record.api_key_index]
        key.nonce = record.nonce
        self._void |= {
            other.tx_hash
            for _, _, other in queue
            if isinstance(other, TxRecord)
            and _key_of(other) == _key_of(record)
            and other.nonce > record.nonce
        }


def _key_of(record: TxRecord) -> tuple[int, int]:
    return record.account, record.api_key_index


def takes_liquidity(
    settings: VenueSettings,
    markets: Mapping[int, MarketState],
    orders: Sequence[Mapping[str, Any]],
) -> bool:
    """Return whether new orders are to wait the taker's delay."""
    return any(
        order["Type"] not in PENDING_TYPES
        and (
            order["TimeInForce"] == TimeInForce.IMMEDIATE_OR_CANCEL
            or (
                settings.taker_delay == "crossing"
                and markets[order["MarketIndex"]].is_met(order)
            )
        )
        for order in orders
    )
