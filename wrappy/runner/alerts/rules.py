"""What is worth a message: events, and figures that pass a bound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from wrappy.runner.events import EventKind, Tone

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wrappy.runner.alerts.settings import AlertSettings
    from wrappy.runner.events import RunEvent
    from wrappy.runner.monitor.snapshot import Figures


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One message.

    Attributes:
        key: what it is about; the same again is the same alert.
        text: one line.
        tone: how bad it is; `GOOD` for what is over.
    """

    key: str
    text: str
    tone: Tone = Tone.BAD


class AlertRules:
    """Turns events and figures into alerts; reads no clock and performs no I/O.

    What lasts is told when it begins and when it is over, once each.

    Args:
        settings: the bounds.
    """

    def __init__(self, settings: AlertSettings) -> None:
        self._settings = settings
        self._lasting: set[str] = set()
        wanted = {
            EventKind.STRATEGY_CRASHED: settings.on_crash,
            EventKind.RISK_STATE: settings.on_risk_state,
            EventKind.FOREIGN_NONCE: settings.on_foreign_nonce,
        }
        self._wanted: Final = {kind for kind, is_on in wanted.items() if is_on}

    def event(self, event: RunEvent) -> Alert | None:
        """Return what an event is worth, None for nothing."""
        if event.kind not in self._wanted:
            return None
        whose = f"{event.strategy}: " if event.strategy else ""
        # Each state of the guard is news of its own; so is each strategy's crash.
        about = event.text if event.kind is EventKind.RISK_STATE else event.strategy
        return Alert(
            key=f"{event.kind.value}/{about}",
            text=f"{whose}{event.text}",
            tone=event.tone,
        )

    def look(self, figures: Figures, age_s: float) -> list[Alert]:
        """Return what has begun or is over, by the latest figures.

        Args:
            figures: of the bot.
            age_s: how old they are.
        """
        return [
            alert
            for key, holds, began, ended in self._lasting_conditions(figures, age_s)
            if (alert := self._turned(key, began, ended, holds=holds)) is not None
        ]

    def _lasting_conditions(
        self, figures: Figures, age_s: float
    ) -> Iterator[tuple[str, bool, str, str]]:
        bounds = self._settings
        if bounds.stalled_s is not None:
            yield (
                "stalled",
                age_s >= bounds.stalled_s,
                f"the bot's event loop has not moved for {age_s:.0f} s",
                "the bot's event loop moves again",
            )
        if bounds.unknown_order_s is not None:
            yield (
                "unknown_order",
                figures.oldest_unknown_s >= bounds.unknown_order_s,
                (
                    f"{figures.unknown_orders} order(s) in doubt, the oldest for "
                    f"{figures.oldest_unknown_s:.0f} s: they may exist"
                ),
                "what became of the orders in doubt is known",
            )
        if bounds.disconnected_s is not None:
            yield (
                "disconnected",
                figures.outage_s >= bounds.disconnected_s,
                f"the account's stream has been gone for {figures.outage_s:.0f} s",
                "the account's stream is live again",
            )
        if bounds.drawdown is not None and figures.drawdown is not None:
            yield (
                "drawdown",
                figures.drawdown >= bounds.drawdown,
                f"drawdown {figures.drawdown:.2%}, equity {figures.equity} USDC",
                f"drawdown is back at {figures.drawdown:.2%}",
            )
        if bounds.daily_loss is not None and figures.daily_pnl is not None:
            yield (
                "daily_loss",
                -figures.daily_pnl >= bounds.daily_loss,
                f"daily loss {-figures.daily_pnl:.2f} USDC",
                f"the day stands at {figures.daily_pnl:+.2f} USDC",
            )

    def _turned(self, key: str, began: str, ended: str, *, holds: bool) -> Alert | None:
        if holds and key not in self._lasting:
            self._lasting.add(key)
            return Alert(key=key, text=began)
        if not holds and key in self._lasting:
            self._lasting.remove(key)
            return Alert(key=f"{key}/over", text=ended, tone=Tone.GOOD)
        return None
