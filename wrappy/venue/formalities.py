"""Formalities: what clients may ask of Lighter and a local exchange has nothing of.

No bridge, no referrals, no points, no leases, no quotes on request: the answers have
the fields of the official SDK's models, lists are empty and sums are zero. What has a
true answer (blocks, tokens, an integrator's earnings) gets it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from wrappy.protocol.codes import OK
from wrappy.protocol.tiers import TIERS
from wrappy.venue.account_requests import token_row
from wrappy.venue.exchange import Refused
from wrappy.venue.queries import transaction_row
from wrappy.venue.render import usdc_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wrappy.venue.accounts import Account
    from wrappy.venue.events import IntegratorShare, Trade
    from wrappy.venue.floor import Floor
    from wrappy.venue.parameters import Parameters

_TX_NOT_FOUND: Final = 21500
_PERIODS: Final = ("h", "d", "w", "m", "q", "y", "all")
_POINTS: Final[dict[str, Any]] = {
    "referrals": [],
    "user_total_points": 0,
    "user_last_week_points": 0,
    "user_total_referral_reward_points": 0,
    "user_last_week_referral_reward_points": 0,
    "reward_point_multiplier": "1",
}


class Formalities:
    """Endpoints whose honest answer is mostly: nothing."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor

    def public_routes(self) -> dict[str, Callable[[Parameters], Any]]:
        """Return the answering method of each path that anybody may read."""
        v1 = "/api/v1/"
        return {
            v1 + "blockTxs": self._block_txs,
            v1 + "txFromL1TxHash": self._no_transaction,
            v1 + "partnerStats": self._partner_stats,
            v1 + "executeStats": self._execute_stats,
            v1 + "exchangeMetrics": self._metrics,
            v1 + "feeTiers": self._fee_tiers,
            v1 + "tokenlist": lambda _: {"code": OK, "tokens": []},
            v1 + "leaseOptions": lambda _: {
                "code": OK,
                "options": [],
                "lit_incentives_account_index": 0,
            },
            v1 + "deposit/networks": lambda _: {"code": OK, "networks": []},
            v1 + "fastbridge/info": lambda _: {"code": OK, "fast_bridge_limit": "0"},
            v1 + "layer1BasicInfo": lambda _: {
                "code": OK,
                "l1_providers": [],
                "l1_providers_health": True,
                "validator_info": [],
                "contract_addresses": [],
                "latest_l1_generic_block": 0,
                "latest_l1_governance_block": 0,
                "latest_l1_desert_block": 0,
            },
        }

    def account_routes(self) -> dict[str, Callable[[Account, Parameters], Any]]:
        """Return the answering method of each path that needs a token."""
        v1 = "/api/v1/"
        return {
            v1 + "tokens": self._tokens,
            v1 + "leases": lambda *_: {"code": OK, "leases": [], "next_cursor": ""},
            v1 + "rfq/list": lambda *_: {"code": OK, "rfqs": [], "next_cursor": ""},
            v1 + "referral/points": lambda *_: _POINTS,
        }

    def _block_txs(self, query: Parameters) -> Any:
        # No block of ours is committed anywhere, so only its height names it.
        query.choice("by", "block_height")
        height = query.integer("value", low=0)
        rows = [
            transaction_row(self._floor, record)
            for record in self._floor.exchange.transactions.newest(0, 2**31)
            if record.block_height == height
        ]
        return {"code": OK, "txs": rows}

    def _no_transaction(self, query: Parameters) -> Any:
        query.text("hash")
        raise Refused(_TX_NOT_FOUND)

    def _execute_stats(self, query: Parameters) -> Any:
        return {"period": query.choice("period", *_PERIODS), "result": []}

    def _metrics(self, query: Parameters) -> Any:
        query.choice("period", *_PERIODS)
        query.text("kind")
        return {"code": OK, "metrics": []}

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
