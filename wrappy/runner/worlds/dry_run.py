"""What would have been sent: orders as they were signed, for people."""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from decimal import Decimal

    from wrappy.lighter.config import ApiKeyConfig, DealerConfig
    from wrappy.lighter.environment import Environment
    from wrappy.model import Market

logger = logging.getLogger("wrappy.dry_run")

_WORDS: Final = {
    "CREATE_ORDER": "create",
    "CREATE_GROUPED_ORDERS": "create",
    "MODIFY_ORDER": "modify",
    "CANCEL_ORDER": "cancel",
    "CANCEL_ALL_ORDERS": "cancel all",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRunRecord:
    """One thing that was signed and not sent; None is what it does not say.

    Attributes:
        act: `create`, `modify`, `cancel`, `cancel all`, or the name of another
            transaction in lower case.
        symbol: the market; empty for all, and for one no dealer of ours trades.
        side: `buy` or `sell`.
        price: limit or worst price in USDC.
        size: in the base asset, unsigned.
        client_order_index: the order's number.
        reduce_only: whether it may only shrink a position.
        nonce: what it would have spent.
    """

    act: str
    symbol: str
    side: str | None = None
    price: Decimal | None = None
    size: Decimal | None = None
    client_order_index: int | None = None
    reduce_only: bool = False
    nonce: int = 0

    def __str__(self) -> str:
        """Return the record in one line."""
        words: list[object] = [self.act, self.side, self.size, self.symbol]
        if self.price is not None:
            words.append(f"at {self.price}")
        if self.reduce_only:
            words.append("reduce-only")
        if self.client_order_index:
            words.append(f"(order {self.client_order_index})")
        return " ".join(str(word) for word in words if word not in (None, ""))


class DryRunLog:
    """Everything a dry run has signed, oldest first; each is a line of the log too."""

    def __init__(self) -> None:
        self.records: list[DryRunRecord] = []
        self._markets: dict[int, Market] = {}

    def learn(self, market: Market) -> None:
        """Take in the scales of a market that is traded."""
        self._markets[market.market_id] = market

    def noted(self, environment: Environment) -> Environment:
        """Return surroundings whose signers write here what they sign."""
        make = environment.make_signer

        def make_signer(config: DealerConfig, key: ApiKeyConfig) -> Any:
            return _NotingSigner(make(config, key), self._note)

        return dataclasses.replace(environment, make_signer=make_signer)

    def _note(self, intent: Any, nonce: int) -> None:
        kind = intent.tx_type.name
        orders = intent.orders if kind == "CREATE_GROUPED_ORDERS" else (intent,)
        for order in orders:
            record = self._record(_WORDS.get(kind, kind.lower()), order, nonce)
            self.records.append(record)
            logger.info("would send: %s", record)

    def _record(self, act: str, order: Any, nonce: int) -> DryRunRecord:
        fields = {
            item.name: getattr(order, item.name) for item in dataclasses.fields(order)
        }
        market = self._markets.get(fields.get("market_index") or 0)
        if fields.get("market_index") is None:
            market = None
        is_ask, price = fields.get("is_ask"), fields.get("price")
        base = fields.get("base_amount")
        number = fields.get("client_order_index", fields.get("index"))
        return DryRunRecord(
            act=act,
            symbol="" if market is None else market.symbol,
            side=None if is_ask is None else ("sell" if is_ask else "buy"),
            price=None if market is None or not price else market.price(price),
            size=None if market is None or base is None else market.size(base),
            client_order_index=number or None,
            reduce_only=bool(fields.get("reduce_only")),
            nonce=nonce,
        )


class _NotingSigner:
    """A `Signer` that tells what it signs."""

    def __init__(self, signer: Any, note: Callable[[Any, int], None]) -> None:
        self._signer = signer
        self._note = note

    @property
    def account_index(self) -> int:
        return int(self._signer.account_index)

    @property
    def api_key_index(self) -> int:
        return int(self._signer.api_key_index)

    @property
    def chain_id(self) -> int:
        return int(self._signer.chain_id)

    @property
    def public_key(self) -> str:
        return str(self._signer.public_key)

    def sign(self, intent: Any, *, nonce: int, skip_nonce: bool = False) -> Any:
        signed = self._signer.sign(intent, nonce=nonce, skip_nonce=skip_nonce)
        self._note(intent, nonce)
        return signed

    def sign_many(
        self, intents: Sequence[Any], *, first_nonce: int, skip_nonce: bool = False
    ) -> list[Any]:
        signed = self._signer.sign_many(
            intents, first_nonce=first_nonce, skip_nonce=skip_nonce
        )
        for nonce, intent in enumerate(intents, first_nonce):
            self._note(intent, nonce)
        return list(signed)

    def auth_token(self, *, deadline_s: int) -> str:
        return str(self._signer.auth_token(deadline_s=deadline_s))
