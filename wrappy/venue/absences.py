"""What clients may ask of Lighter and a local exchange has nothing of.

No bridge, no points, no leases, no quotes on request, no markets of events: questions
are answered with the fields of the official SDK's models and of the official OpenAPI
file, lists are empty and sums are zero. What would do something that cannot be done
here is refused with 21515, what would name something that is not there with 29404.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from wrappy.protocol.codes import OK
from wrappy.venue.gate import INVALID_AUTH
from wrappy.venue.refusal import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wrappy.venue.accounts import Account
    from wrappy.venue.parameters import Parameters

NOT_FOUND: Final = 29404
NOT_ALLOWED: Final = 21515

_V1: Final = "/api/v1/"
_L1: Final = ("l1_address",)
_EMPTY_POINTS: Final[dict[str, Any]] = {
    "referrals": [],
    "user_total_points": 0,
    "user_last_week_points": 0,
    "user_total_referral_reward_points": 0,
    "user_last_week_referral_reward_points": 0,
    "reward_point_multiplier": "1",
}


@dataclass(frozen=True, slots=True)
class Absence:
    """One question with an empty answer.

    Attributes:
        body: the answer.
        needs: parameters that must be there.
        repeats: parameters that the answer repeats.
    """

    body: Mapping[str, Any]
    needs: tuple[str, ...] = ()
    repeats: tuple[str, ...] = ()

    def told(self, query: Parameters) -> dict[str, Any]:
        """Return the answer.

        Raises:
            Refused: 20001, a parameter is missing.
        """
        asked = {name: query.text(name) for name in self.needs}
        return {**self.body, **{name: asked[name] for name in self.repeats}}


@dataclass(frozen=True, slots=True)
class Impossible:
    """One request that is always refused.

    Attributes:
        code: with which code.
        words: with which words besides the code's.
        needs: parameters that must be there first.
    """

    code: int
    words: str
    needs: tuple[str, ...] = field(default=())

    def told(self, query: Parameters) -> dict[str, Any]:
        """Refuse it.

        Raises:
            Refused: always: 20001 when a parameter is missing, else its own code.
        """
        for name in self.needs:
            query.text(name)
        raise Refused(self.code, self.words)


def _list(*names: str, **more: Any) -> dict[str, Any]:
    return {"code": OK, **{name: [] for name in names}, **more}


def _not_allowed(why: str, *needs: str) -> Impossible:
    return Impossible(NOT_ALLOWED, f"transaction is not allowed: {why}", needs)


def _not_found(what: str, *needs: str) -> Impossible:
    return Impossible(NOT_FOUND, f"not found: {what}", needs)


_NO_QUOTES: Final = "no market here takes requests for quotes"
_NO_LEGS: Final = "there are no atomic orders here"
_NO_PUSH: Final = "nothing here sends push notifications"

READ_BY_ALL: Final[dict[str, Absence | Impossible]] = {
    _V1 + "events": Absence(_list("events", next_cursor=0)),
    _V1 + "leaderboard": Absence({"entries": []}, ("type",)),
    _V1 + "pnlLeaderboard": Absence(_list("entries", total=0, updated_at=0)),
    _V1 + "upDownCandles": Absence(
        _list("candles", next_cursor=0), ("symbol", "duration", "resolution")
    ),
    _V1 + "syntheticSpotInfo": Absence(
        {
            "code": OK,
            "bps_per_day": 0,
            "expiry_time_ms": 0,
            "spot_close_ms": 0,
            "source": "",
        },
        ("symbol",),
        ("symbol",),
    ),
    _V1 + "tokenlist": Absence(_list("tokens")),
    _V1 + "leaseOptions": Absence(_list("options", lit_incentives_account_index=0)),
    _V1 + "deposit/networks": Absence(_list("networks")),
    _V1 + "deposit/latest": _not_found("no deposit of that address", *_L1),
    _V1 + "fastbridge/info": Absence({"code": OK, "fast_bridge_limit": "0"}),
    _V1 + "layer1BasicInfo": Absence(
        _list(
            "l1_providers",
            "validator_info",
            "contract_addresses",
            l1_providers_health=True,
            latest_l1_generic_block=0,
            latest_l1_governance_block=0,
            latest_l1_desert_block=0,
        )
    ),
    _V1 + "publicPoolsMetadata": Absence(_list("public_pools")),
    _V1 + "bridges": Absence(_list("bridges"), _L1),
    _V1 + "bridges/isNextBridgeFast": Absence(
        {"code": OK, "is_next_bridge_fast": False}, _L1
    ),
    _V1 + "geoLocation": Absence({"code": OK}),
    _V1 + "isWhitelisted": Absence(
        {"code": OK, "whitelisted": True, "deposit_amount_left": "0"}, _L1
    ),
    _V1 + "marketMetrics": Absence(_list("metrics"), ("timestamp", "kind")),
    _V1 + "upcomingEarnings": Absence(_list("upcoming_earnings")),
    _V1 + "rollingInfo": _not_found("no contract that rolls", "symbol"),
    _V1 + "stockFinancials": _not_found("no share trades here", "market_id"),
    **{
        _V1 + f"gecko/{name}": Impossible(
            INVALID_AUTH, "invalid auth: for the price site only", ("auth",)
        )
        for name in ("contracts", "orderbook", "tickers")
    },
    _V1 + "faucet": _not_allowed("accounts begin with their money", *_L1),
}
"""Questions of anybody."""

READ_BY_BEARERS: Final[dict[str, Absence | Impossible]] = {
    _V1 + "leases": Absence(_list("leases", next_cursor=""), ("account_index",)),
    _V1 + "rfq/list": Absence(_list("rfqs", next_cursor="")),
    _V1 + "rfq/get": _not_found(_NO_QUOTES, "rfq_id"),
    _V1 + "referral/points": Absence(_EMPTY_POINTS, ("account_index",)),
    _V1 + "livePoints/total": Absence(
        {"code": OK, "total_live_points": 0}, ("account_index",)
    ),
    _V1 + "portfolio/boPnl": Absence(_list("events", next_cursor=0)),
    _V1 + "airdrop": Absence({"allocations": []}, _L1, _L1),
    _V1 + "atomic-orders/list": Absence(_list("atomic_orders")),
    _V1 + "atomic-orders/get": _not_found(_NO_LEGS, "id"),
    _V1 + "pushnotif/settings": Absence(
        _list("alerts", enabled=False, preferences={}), ("account_index",)
    ),
}
"""Questions of whoever has a token."""

WRITTEN_BY_ALL: Final[dict[str, Absence | Impossible]] = {
    _V1 + "createIntentAddress": _not_allowed(
        "there is no bridge here", "chain_id", "from_addr", "amount"
    ),
}
"""Changes that anybody may ask for."""

WRITTEN_BY_BEARERS: Final[dict[str, Absence | Impossible]] = {
    _V1 + "litLease": _not_allowed(
        "there is no LIT to lease here", "tx_info", "lease_amount", "duration_days"
    ),
    _V1 + "setAccountMetadata": _not_allowed(
        "accounts have no colours here", "target_account_index", "metadata"
    ),
    _V1 + "rfq/create": _not_allowed(_NO_QUOTES, "market_index", "direction"),
    _V1 + "rfq/respond": _not_found(_NO_QUOTES, "rfq_id", "status"),
    _V1 + "rfq/update": _not_found(_NO_QUOTES, "rfq_id", "status"),
    _V1 + "airdrop/create": _not_allowed("there is no airdrop here", *_L1),
    _V1 + "atomic-orders/create": _not_allowed(_NO_LEGS, "name", "legs"),
    _V1 + "atomic-orders/update": _not_found(_NO_LEGS, "id", "name", "legs"),
    _V1 + "atomic-orders/delete": _not_found(_NO_LEGS, "id"),
    _V1 + "pushnotif/register": _not_allowed(_NO_PUSH, "expo_token", "platform"),
    _V1 + "pushnotif/unregister": _not_found(_NO_PUSH, "expo_token"),
    _V1 + "pushnotif/settings": _not_allowed(_NO_PUSH, "enabled"),
}
"""Changes that need a token."""


def for_bearers(
    absences: Mapping[str, Absence | Impossible],
) -> dict[str, Callable[[Account, Parameters], Any]]:
    """Return the same answers for routes that are handed the account as well."""

    def route(
        absence: Absence | Impossible,
    ) -> Callable[[Account, Parameters], Any]:
        return lambda _, query: absence.told(query)

    return {path: route(absence) for path, absence in absences.items()}
