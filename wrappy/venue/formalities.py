"""Formalities with true answers: tiers of fees, tokens, an integrator's earnings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wrappy.protocol.codes import OK
from wrappy.protocol.tiers import TIERS
from wrappy.venue.account_requests import token_row
from wrappy.venue.render import usdc_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wrappy.venue.accounts import Account
    from wrappy.venue.events import IntegratorShare, Trade
    from wrappy.venue.floor import Floor
    from wrappy.venue.parameters import Parameters


class Formalities:
    """Endpoints about fees and tokens."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor

    def public_routes(self) -> dict[str, Callable[[Parameters], Any]]:
        """Return the answering method of each path that anybody may read."""
        v1 = "/api/v1/"
        return {
            v1 + "partnerStats": self._partner_stats,
            v1 + "feeTiers": self._fee_tiers,
        }

    def account_routes(self) -> dict[str, Callable[[Account, Parameters], Any]]:
        """Return the answering method of each path that needs a token."""
        return {"/api/v1/tokens": self._tokens}

    def _fee_tiers(self, _: Parameters) -> Any:
        rows = [
            {
                "name": tier.name,
                "level": level,
                "maker_fee_ticks": tier.maker_fee_tick,
                "taker_fee_ticks": tier.taker_fee_tick,
                "required_lit_stakes": 0,
                "required_volume": 0,
            }
            for level, tier in enumerate(TIERS.values())
        ]
        return {"code": OK, "user_tiers": rows, "bo_tiers": [], "staking_tiers": []}

    def _tokens(self, account: Account, _: Parameters) -> Any:
        issued = self._floor.read_only_tokens.issued(account.index)
        return {"code": OK, "api_tokens": [token_row(token) for token in issued]}

    # -------------------------------------------------------------- integrators

    def _partner_stats(self, query: Parameters) -> Any:
        collector = query.integer("account_index", low=0)
        taken = list(self._shares(collector, taker=True))
        made = list(self._shares(collector, taker=False))
        fees = [sum(share.amount for _, share, _ in side) for side in (taken, made)]
        volumes = [sum(trade.quote for trade, _, _ in side) for side in (taken, made)]
        return {
            "code": OK,
            "total_fees_earned": usdc_text(sum(fees)),
            "total_taker_fees_earned": usdc_text(fees[0]),
            "total_maker_fees_earned": usdc_text(fees[1]),
            "total_volume": usdc_text(sum(volumes)),
            "total_taker_volume": usdc_text(volumes[0]),
            "total_maker_volume": usdc_text(volumes[1]),
            "total_trades": len(taken) + len(made),
            "total_taker_trades": len(taken),
            "total_maker_trades": len(made),
            "unique_clients": len({client for _, _, client in taken + made}),
        }

    def _shares(
        self, collector: int, *, taker: bool
    ) -> Iterator[tuple[Trade, IntegratorShare, int]]:
        # (trade, the collector's share of it, the account that paid it)
        for trade in self._floor.exchange.log.trades():
            share = trade.taker_integrator if taker else trade.maker_integrator
            if share is not None and share.account == collector:
                paid_by_ask = trade.is_maker_ask != taker
                payer = trade.ask_account if paid_by_ask else trade.bid_account
                yield trade, share, payer
