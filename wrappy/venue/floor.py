"""The trading floor behind both doors: exchange, market life, candles and time.

It keeps no socket. The doors ask it things and send through it; whoever paces it
calls `run_until`, and everything due happens in order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from wrappy.protocol.intents import TxType
from wrappy.protocol.tiers import QUOTA_EXHAUSTED_WORDS
from wrappy.venue.candles import CandleStore
from wrappy.venue.clocks import LoopClock, SteppedClock
from wrappy.venue.events import Announced, TradeExecuted
from wrappy.venue.exchange import Refused
from wrappy.venue.flow import PassesBars
from wrappy.venue.gate import Gate
from wrappy.venue.limits import RequestLimits, VolumeQuota
from wrappy.venue.market_state import DAY_US
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
_LONGEST_CALM_US: Final = 3_600_000_000
TOO_MANY_WITHDRAWALS = 23004


class Audience(Protocol):
    """Whoever tells the world what happened: the streams."""

    def publish(self, events: Sequence[Event], now_us: int) -> None:
        """Take in what happened at `now_us`."""
        ...

    def due_us(self) -> int | None:
        """Return when `flush` is to be called next, or None."""
        ...

    def hears_markets(self) -> bool:
        """Return whether anybody listens to what happens in markets."""
        ...

    def hears_marks(self) -> bool:
        """Return whether anybody is told of equity as prices move."""
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
        self.mark_candles = CandleStore()
        self.limits = (
            RequestLimits(settings.tier_named(settings.tier), settings)
            if settings.enforce_limits
            else None
        )
        self.quota = VolumeQuota(
            enforced=settings.enforce_limits, rules=settings.volume_quota
        )
        self.failure: BaseException | None = None
        self._flow = flow
        self._bars: PassesBars | None = None
        if isinstance(flow, PassesBars) and flow.has_candles:
            self._bars = flow
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

    @property
    def follows_candles(self) -> bool:
        """Whether the market's life is candles, which may be passed as a whole."""
        return self._bars is not None

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

    @property
    def opened_us(self) -> int:
        """When the venue opened, unix microseconds."""
        return self._start_us

    def change_tier(self, account: Account, name: str) -> None:
        """Move all accounts of that account's owner to another tier, at once.

        Raises:
            Refused: it may not be.
        """
        self.exchange.change_tier(account.index, name, now_us=self._arrive())
        self._tell(self.exchange.drain())

    def set_maker_only(self, account: Account, slots: Sequence[int]) -> None:
        """Say which keys of an account may only make.

        Raises:
            Refused: it may not be.
        """
        now_us = self._arrive()
        self.exchange.set_maker_only(account.index, slots, now_us=now_us)
        self._tell(self.exchange.drain())

    def now_us(self) -> int:
        """Return venue time, unix microseconds."""
        return self.clock.now_us()

    def next_due_us(self) -> int:
        """Return when something happens next that anybody could notice.

        That is every block, but for a market that follows candles: while they reach
        nobody and nobody hears of the market, it is the first point that does, or the
        next full hour.
        """
        told_us = None if self._audience is None else self._audience.due_us()
        if self._bars is None or self._is_heard():
            return self._due_us(told_us)
        limit_us = self._calm_limit_us(self._at_us + _LONGEST_CALM_US)
        calm_us = self._bars.calm_until_us(
            limit_us - self._start_us, self.exchange.flow_orders.reach
        )
        due = limit_us + 1 if calm_us is None else self._start_us + calm_us
        wake_us = self.exchange.next_wake_us()
        return min(due, *(at for at in (wake_us, told_us) if at is not None), due)

    def _is_heard(self) -> bool:
        return self._audience is not None and self._audience.hears_markets()

    def _calm_limit_us(self, until_us: int) -> int:
        # Until when candles may be passed: what else comes is in its own time, and a
        # day's statistics are of one day.
        limit_us = min(until_us, (self._at_us // DAY_US + 1) * DAY_US - 1)
        wake_us = self.exchange.next_wake_us()
        if wake_us is not None:
            limit_us = min(limit_us, wake_us - 1)
        if self._audience is not None and self._audience.hears_marks():
            following = None if self._bars is None else self._bars.next_close_us()
            if following is not None:
                limit_us = min(limit_us, self._start_us + following)
        return limit_us

    def _pass_bars(self, now_us: int) -> bool:
        # Returns whether there was one: what comes next has to be looked at anew.
        if self._bars is None or self._is_heard():
            return False
        limit_us = self._calm_limit_us(now_us)
        runs = self._bars.pass_calm(
            limit_us - self._start_us, self.exchange.flow_orders.reach
        )
        if not runs:
            return False
        start_us = self._start_us
        close_us = max(start_us + run.close_us for run in runs)
        self._at_us = close_us = max(self._at_us, close_us)
        newest = {run.action.market_index: at for at, run in enumerate(runs)}
        actions = [
            run.action._replace(
                ago_us=close_us - start_us - run.close_us,
                followed=newest[run.action.market_index] != at,
            )
            for at, run in enumerate(runs)
        ]
        for run in runs:
            index = run.action.market_index
            multiplier = self.exchange.markets[index].market.quote_multiplier
            self.candles.add_run(start_us, run, multiplier)
        self.exchange.apply_flow(actions, now_us=close_us)
        self._tell(self.exchange.drain())
        return True

    def _due_us(self, told_due: int | None) -> int:
        due = self.exchange.next_due_us()
        if self._bars is not None and not self._is_heard():
            # Blocks alone change nothing that is seen: they are made when asked for.
            wake_us = self.exchange.next_wake_us()
            due = self._at_us + _LONGEST_CALM_US if wake_us is None else wake_us
        flow_due = self._flow_due_us()
        if flow_due is not None and flow_due < due:
            due = flow_due
        if told_due is not None and told_due < due:
            return told_due
        return due

    def _flow_due_us(self) -> int | None:
        offset = None if self._flow is None else self._flow.next_at_us()
        return None if offset is None else self._start_us + offset

    def run_until(self, now_us: int) -> int:
        """Let everything happen that is due up to `now_us`, in order.

        Returns:
            When something happens next by itself, unix microseconds.
        """
        while True:
            if self._bars is not None and self._pass_bars(now_us):
                continue
            told_due = None if self._audience is None else self._audience.due_us()
            due = self._due_us(told_due)
            if due > now_us:
                break
            if self._bars is not None and self.exchange.next_wake_us() == due:
                # Before what the flow has at the same time, which may then be passed.
                self._at_us = max(self._at_us, due)
                self._tell(self.exchange.advance(self._at_us))
                continue
            # A due time in the past is one that came up late: time stands still
            # for it, but does not go back.
            self._at_us = max(self._at_us, due)
            # What was held back goes out before anything new happens, or two changes
            # a batch apart would share one.
            if told_due is not None and told_due <= due:
                self._flush()
            flow_due = self._flow_due_us()
            if self._flow is not None and flow_due is not None and flow_due <= due:
                self.exchange.apply_flow(
                    self._flow.step(due - self._start_us), now_us=self._at_us
                )
            self._tell(self.exchange.advance(self._at_us))
        self._at_us = max(self._at_us, now_us)
        if self._bars is None or self._is_heard():
            return due
        self._tell(self.exchange.advance(self._at_us))
        return self.next_due_us()

    def _flush(self) -> None:
        if self._audience is not None:
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
            if self._bars is not None:
                self._wake()  # within a candle that was to be passed

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
        if self.limits.send(owner, now=now, count=len(tx_types)):
            raise Refused(TOO_MANY_REQUESTS)
        crowded = self.limits.crowded(account.l1_address, tx_types, now=now)
        if crowded is not None:
            withdraws = crowded == TxType.WITHDRAW
            raise Refused(TOO_MANY_WITHDRAWALS if withdraws else TOO_MANY_REQUESTS)
        if account.tier.has_volume_quota and not self.quota.has_room(
            account.l1_address, tx_types, now=now
        ):
            raise Refused(self.settings.volume_quota.code, QUOTA_EXHAUSTED_WORDS)

    def _now_s(self) -> float:
        return self.now_us() / 1_000_000

    async def send(
        self, tx_type: int, tx_info: str, *, protected: bool = True
    ) -> tuple[Receipt, int | None]:
        """Send one transaction; return its receipt and the volume quota left.

        Raises:
            Refused: it is not accepted.
        """
        account, receipt = await self._gate.send(tx_type, tx_info, protected=protected)
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
            shown = self.settings.volume_quota.shown_to_all
            return self.quota.spend(account.l1_address, 0) if shown else None
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
