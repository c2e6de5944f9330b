"""The trading floor behind both doors: exchange, market life, candles and time.

It keeps no socket. The doors ask it things and send through it; whoever paces it
calls `run_until`, and everything due happens in order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from wrappy.protocol.tiers import QUOTA_EXHAUSTED_WORDS
from wrappy.venue.candles import CandleStore
from wrappy.venue.clocks import LoopClock, SteppedClock
from wrappy.venue.events import Announced, TradeExecuted
from wrappy.venue.exchange import Refused
from wrappy.venue.gate import Gate
from wrappy.venue.limits import RequestLimits, VolumeQuota
from wrappy.venue.orders import DELEVERAGE_TRADE
from wrappy.venue.statements import Statement

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from wrappy.venue.accounts import Account
    from wrappy.venue.clocks import Clock
    from wrappy.venue.events import Event
    from wrappy.venue.exchange import Exchange, Receipt
    from wrappy.venue.flow import Flow
    from wrappy.venue.read_only_tokens import ReadOnlyTokens
    from wrappy.venue.settings import VenueSettings

TOO_MANY_REQUESTS = 23000


class Audience(Protocol):
    """Whoever tells the world what happened: the streams."""

    def publish(self, events: Sequence[Event], now_us: int) -> None:
        """Take in what happened at `now_us`."""
        ...

    def due_us(self) -> int | None:
        """Return when `flush` is to be called next, or None."""
        ...

    def flush(self, now_us: int) -> None:
        """Send what was held back until now."""
        ...


class Floor:
    """One exchange with everything that keeps it going.

    Args:
        exchange: the pure exchange.
        settings: its settings.
        clock: what time it is.
        flow: market life, or None for a market of users only.
        wake: called when something new may be due earlier than before.

    Attributes:
        failure: the first failure nobody could answer for; the venue then serves
            nothing any more.
    """

    def __init__(
        self,
        exchange: Exchange,
        settings: VenueSettings,
        *,
        clock: Clock,
        flow: Flow | None,
        wake: Callable[[], None],
    ) -> None:
        self.exchange = exchange
        self.settings = settings
        self.clock = clock
        self.candles = CandleStore()
        self.limits = (
            RequestLimits(settings.tier_named(settings.tier))
            if settings.enforce_limits
            else None
        )
        self.quota = VolumeQuota(enforced=settings.enforce_limits)
        self.failure: BaseException | None = None
        self._flow = flow
        self._wake = wake
        self._start_us = self._at_us = clock.now_us()
        self._gate = Gate(
            exchange,
            settings,
            arrive=self._arrive,
            admit=self._admit,
            threaded=not isinstance(clock, LoopClock),
        )
        self._audience: Audience | None = None
        self._announced = 0

    def attach(self, audience: Audience) -> None:
        """Let `audience` hear what happens from now on."""
        self._audience = audience

    def close(self) -> None:
        """End the worker thread that checks signatures."""
        self._gate.close()

    def record_failure(self, error: BaseException) -> None:
        """Keep the first failure, for whoever closes the venue."""
        self.failure = self.failure or error

    # -------------------------------------------------------------------- time

    def now_us(self) -> int:
        """Return venue time, unix microseconds."""
        return self.clock.now_us()

    def next_due_us(self) -> int | None:
        """Return when something happens next by itself, or None if nothing will."""
        dues = [self.exchange.next_due_us(), self._flow_due_us()]
        if self._audience is not None:
            dues.append(self._audience.due_us())
        known = [due for due in dues if due is not None]
        return min(known) if known else None

    def _flow_due_us(self) -> int | None:
        offset = None if self._flow is None else self._flow.next_at_us()
        return None if offset is None else self._start_us + offset

    def run_until(self, now_us: int) -> None:
        """Let everything happen that is due up to `now_us`, in order."""
        while (due := self.next_due_us()) is not None and due <= now_us:
            # A due time in the past is one that came up late: time stands still
            # for it, but does not go back.
            self._at_us = max(self._at_us, due)
            # What was held back goes out before anything new happens, or two changes
            # a batch apart would share one.
            self._flush(due)
            flow_due = self._flow_due_us()
            if self._flow is not None and flow_due is not None and flow_due <= due:
                self.exchange.apply_flow(
                    self._flow.step(due - self._start_us), now_us=self._at_us
                )
            self._tell(self.exchange.advance(self._at_us))
        self._at_us = max(self._at_us, now_us)

    def _flush(self, due_us: int) -> None:
        if self._audience is None:
            return
        flush_due = self._audience.due_us()
        if flush_due is not None and flush_due <= due_us:
            self._audience.flush(self._at_us)

    def catch_up(self) -> None:
        """Bring the exchange to the present before it is asked something.

        Stepped time is moved by its owner alone: there only what has happened
        already is told.
        """
        if isinstance(self.clock, SteppedClock):
            self._tell(self.exchange.drain())
        else:
            self.run_until(self.now_us())

    def _tell(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, TradeExecuted):
                if event.trade.kind == DELEVERAGE_TRADE:
                    continue  # outside the market
                self.candles.add(event.trade)
                for index in {event.trade.ask_account, event.trade.bid_account}:
                    address = self.exchange.accounts[index].l1_address
                    self.quota.earn(address, event.trade.quote)
        if events and self._audience is not None:
            self._audience.publish(events, self._at_us)

    # ----------------------------------------------------------------- sending

    def _arrive(self) -> int:
        self.catch_up()
        return max(self._at_us, self.now_us())

    def _admit(self, account: Account, tx_types: Sequence[int]) -> None:
        if self.limits is None:
            return
        owner, now = (account.l1_address, account.tier), self._now_s()
        if self.limits.send(owner, now=now):
            raise Refused(TOO_MANY_REQUESTS)
        if account.tier.has_volume_quota and not self.quota.has_room(
            account.l1_address, tx_types, now=now
        ):
            raise Refused(TOO_MANY_REQUESTS, QUOTA_EXHAUSTED_WORDS)

    def _now_s(self) -> float:
        return self.now_us() / 1_000_000

    async def send(self, tx_type: int, tx_info: str) -> tuple[Receipt, int | None]:
        """Send one transaction; return its receipt and the volume quota left.

        Raises:
            Refused: it is not accepted.
        """
        account, receipt = await self._gate.send(tx_type, tx_info)
        return receipt, self._sent(account, [tx_type])

    async def send_batch(
        self, tx_types: Sequence[int], tx_infos: Sequence[str]
    ) -> tuple[list[Receipt], int | None]:
        """Send transactions together; return receipts and the volume quota left.

        Raises:
            Refused: one of them, and so none of them, is accepted.
        """
        account, receipts = await self._gate.send_batch(tx_types, tx_infos)
        return receipts, self._sent(account, tx_types)

    def _sent(self, account: Account, tx_types: Sequence[int]) -> int | None:
        self._tell(self.exchange.drain())
        self._wake()
        if not account.tier.has_volume_quota:
            return None
        return self.quota.charge(account.l1_address, tx_types, now=self._now_s())

    async def authenticate(self, token: str, account_index: int) -> int:
        """Return until when, unix seconds, a token opens an account's private data.

        Raises:
            Refused: it does not.
        """
        return await self._gate.authenticate(token, account_index)

    def expire_token(self, token: str) -> None:
        """Take a token for expired from now on."""
        self._gate.expire_token(token)

    def create_read_only_token(
        self, account_index: int, *, life_s: int, sub_accounts: bool, name: str = ""
    ) -> str:
        """Return a new token that lets its bearer read an account, and no more.

        Raises:
            Refused: it would live too short or too long, or there are too many.
        """
        now_s = self.now_us() // 1_000_000
        return self._gate.read_only.create(
            account_index,
            expires_s=now_s + life_s,
            sub_accounts=sub_accounts,
            now_s=now_s,
            name=name,
        )

    @property
    def read_only_tokens(self) -> ReadOnlyTokens:
        """The read-only tokens that were made here."""
        return self._gate.read_only

    def revoke_read_only_token(self, token: str) -> None:
        """Make a read-only token worthless.

        Raises:
            Refused: there is no such token.
        """
        self._gate.read_only.revoke(token)

    def announce(self, account: int, kind: str, content: Mapping[str, Any]) -> str:
        """Send an account a notification; return its number."""
        self.catch_up()
        self._announced += 1
        number = f"{kind}:{account}:{self._announced}"
        at_us = max(self._at_us, self.now_us())
        event = Announced(at_us, number, account, kind, content)
        self.exchange.note(event)
        self._tell([event])
        return number

    # ----------------------------------------------------------------- reading

    def statement(self, account: Account) -> Statement:
        """Return an account's figures as of now."""
        return Statement(account, self.exchange.markets)
