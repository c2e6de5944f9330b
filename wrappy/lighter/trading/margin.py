"""Leverage and margin of a market, set and then seen to be so.

What the exchange accepts it may still not do; the account is read until it shows it.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING

from wrappy._core.backoff import Backoff
from wrappy._core.receipts import TransactionFate
from wrappy.errors import (
    InvalidOrderError,
    OrderRejectedError,
    ProtocolError,
    RequestTimeoutError,
)
from wrappy.lighter.results import MarginSetting
from wrappy.lighter.sending.flushing import require_no_batch
from wrappy.lighter.trading.arguments import (
    checked_decimal,
    checked_flag,
    checked_seconds,
    checked_whole,
    checked_word,
)
from wrappy.lighter.trading.session import AccountSession
from wrappy.lighter.wire.within import within
from wrappy.protocol.intents import CancelAllOrders, UpdateLeverage, UpdateMargin

if TYPE_CHECKING:
    from collections.abc import Callable

    from wrappy.lighter.results import FlushResult, MarginMode
    from wrappy.model import Money
    from wrappy.protocol.intents import Intent

FRACTION_SCALE = 10_000
MODES: dict[str, int] = {"cross": 0, "isolated": 1}
USDC_SCALE = 1_000_000
MOST_ACCOUNTS = (1 << 48) - 1
MOST_USDC = (1 << 48) - 1


class MarginControls(AccountSession):
    """A session that can also set a market's leverage and margin.

    And one that can look at what another account holds: what it sets is its own.
    """

    async def fetch_position_of(
        self,
        account_index: int,
        symbol: str | None = None,
        *,
        timeout_s: float | None = None,
        urgent: bool = False,
    ) -> Decimal:
        """Return the signed size of another account's position; 0 when flat.

        Meant for a second account of one's own. What an account holds is public, so
        no key of it is needed; the question counts against this dealer's pace.

        Args:
            account_index: any account.
            symbol: market by name; this dealer's if None.
            timeout_s: longest wait in seconds, the pace and further tries included;
                None for as long as those take.
            urgent: also use the part of the pace that is kept for what is urgent, a
                pair out of balance, say. A standard account keeps none for questions.

        Raises:
            InvalidOrderError: an argument is wrong.
            UnknownMarketError: no such market.
            RequestTimeoutError: `timeout_s` is over.
            VenueError: the exchange has no such account.
            TransportError, ProtocolError: it could not be asked.
        """
        self._require_open()
        hurries = checked_flag(urgent, field="urgent")
        index = checked_whole(account_index, 0, MOST_ACCOUNTS, field="account_index")
        if symbol is not None and not isinstance(symbol, str):
            raise InvalidOrderError("symbol", symbol, "is no market's name")
        wait_s = None
        if timeout_s is not None:
            wait_s = checked_seconds(timeout_s, field="timeout_s")
        name = symbol or self.market.symbol
        asking = self._account.position_of(index, name, urgent=hurries)
        try:
            return await within(wait_s, asking)
        except asyncio.TimeoutError as error:
            raise RequestTimeoutError(
                f"account {index} could not be read within {wait_s} s"
            ) from error

    async def set_leverage(
        self,
        leverage: Money | None = None,
        *,
        initial_margin_fraction: int | None = None,
        margin_mode: MarginMode = "cross",
        timeout_s: float = 5.0,
    ) -> MarginSetting:
        """Set the market's leverage and margin mode, and see that it holds.

        Args:
            leverage: such as 5 or 12.5; or
            initial_margin_fraction: the same in 1e-4 of the position's value, so
                that 500 is 20x.
            margin_mode: `cross` or `isolated`.
            timeout_s: longest wait for the account to show it.

        Returns:
            The setting that the account shows.

        Raises:
            InvalidOrderError: an argument is wrong, or the market does not allow it.
            ProtocolError: it was accepted, yet the account does not show it in time;
                the message tells what it shows.
            UsageError: inside `batch()`.
            VenueError, TransportError: see `flush`.
        """
        self._require_open()
        require_no_batch(self._outbox, "set_leverage")
        mode = checked_word(margin_mode, MODES, field="margin_mode")
        wait_s = checked_seconds(timeout_s, field="timeout_s")
        fraction = self._fraction(leverage, initial_margin_fraction)
        asked = MarginSetting(
            initial_margin_fraction=fraction,
            margin_mode=margin_mode,
            allocated_margin=Decimal(0),
        )
        flushed = await self._send_now(
            UpdateLeverage(self.market.market_id, fraction, MODES[mode])
        )
        if flushed["dry_run"]:
            return asked
        return await self._seen(
            "set_leverage",
            flushed["tx_hash"][0],
            lambda shown: (
                shown.initial_margin_fraction == fraction and shown.margin_mode == mode
            ),
            wait_s,
        )

    async def change_margin(
        self, amount_usdc: Money, *, add: bool = True, timeout_s: float = 5.0
    ) -> MarginSetting:
        """Put collateral into the market's isolated position, or take it out.

        Args:
            amount_usdc: above 0, in USDC; rounded toward zero to 1e-6.
            add: False takes it out.
            timeout_s: longest wait for the account to show it.

        Returns:
            The setting that the account shows afterwards.

        Raises:
            InvalidOrderError: an argument is wrong, the market's margin is not
                isolated, or more is to be taken out than there is.
            ProtocolError: it was accepted, yet the account does not show it in time.
            UsageError: inside `batch()`.
            VenueError, TransportError: see `flush`.
        """
        self._require_open()
        require_no_batch(self._outbox, "change_margin")
        checked_flag(add, field="add")
        wait_s = checked_seconds(timeout_s, field="timeout_s")
        exact = checked_decimal(amount_usdc, field="amount_usdc")
        if not Decimal(1) / USDC_SCALE <= exact <= Decimal(MOST_USDC) / USDC_SCALE:
            raise InvalidOrderError(
                "amount_usdc", amount_usdc, "is below 0.000001 or above 281474976"
            )
        units = int(exact * USDC_SCALE)
        amount = Decimal(units) / USDC_SCALE
        before = await self._account.margin_setting(self.market.market_id)
        if before is None or before.margin_mode != "isolated":
            raise InvalidOrderError(
                "amount_usdc",
                amount_usdc,
                "needs isolated margin; `set_leverage(..., margin_mode='isolated')`",
            )
        if not add and amount > before.allocated_margin:
            raise InvalidOrderError(
                "amount_usdc", amount_usdc, f"is above {before.allocated_margin}"
            )
        flushed = await self._send_now(
            UpdateMargin(self.market.market_id, units, 1 if add else 0)
        )
        if flushed["dry_run"]:
            return before
        sign = 1 if add else -1
        return await self._seen(
            "change_margin",
            flushed["tx_hash"][0],
            lambda shown: (
                (shown.allocated_margin - before.allocated_margin) * sign >= amount
            ),
            wait_s,
        )

    async def _send_now(self, intent: Intent) -> FlushResult:
        scope = object()
        is_cancel = isinstance(intent, CancelAllOrders)
        self._outbox.put_in(scope, intent, touches=None, is_cancel=is_cancel)
        return await self._outbox.flush(scope)

    def _fraction(self, leverage: object, fraction: object) -> int:
        """Return the margin fraction that one of two arguments asks for."""
        least = self.market.min_initial_margin_fraction
        most = Decimal(FRACTION_SCALE) / least
        if (leverage is None) is (fraction is None):
            raise InvalidOrderError(
                "leverage", leverage, "give it, or initial_margin_fraction, not both"
            )
        if leverage is None:
            return checked_whole(
                fraction, least, FRACTION_SCALE, field="initial_margin_fraction"
            )
        number = checked_decimal(leverage, field="leverage")
        if not 1 <= number <= most:
            raise InvalidOrderError(
                "leverage",
                leverage,
                f"is outside 1..{most:f}, which {self.market.symbol} allows",
            )
        return int(Decimal(FRACTION_SCALE) / number)

    async def _seen(
        self,
        what: str,
        tx_hash: str,
        is_done: Callable[[MarginSetting], bool],
        timeout_s: float,
    ) -> MarginSetting:
        """Read the account until it shows what was accepted."""
        clock = asyncio.get_running_loop().time
        ends, backoff = clock() + timeout_s, Backoff(ceiling_s=1.0, jitter=0.0)
        while True:
            shown = await self._account.margin_setting(self.market.market_id)
            if shown is not None and is_done(shown):
                return shown
            report = await self._account.transaction(tx_hash)
            if report is not None and report.fate is TransactionFate.FAILED:
                raise OrderRejectedError(0, f"{what}: {report.reason}")
            pause_s = backoff.next(0.0)
            if clock() + pause_s > ends:
                raise ProtocolError(
                    f"{what}: accepted ({tx_hash}), but after {timeout_s:g} s the "
                    f"account shows {shown or 'no setting for the market'}"
                )
            await asyncio.sleep(pause_s)
