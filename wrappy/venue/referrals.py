"""Referral codes: made, renamed, used. They bring nobody anything here.

Rules and codes follow the official API documentation's error list; who used a code is
known to its owner only.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

from wrappy.protocol.codes import OK
from wrappy.venue.parameters import page, wrong
from wrappy.venue.refusal import require

if TYPE_CHECKING:
    from collections.abc import Callable

    from wrappy.venue.accounts import Account
    from wrappy.venue.floor import Floor
    from wrappy.venue.parameters import Parameters

EXISTS: Final = 41001
USED_ALREADY: Final = 41003
INVALID: Final = 41006
REQUIRED: Final = 41007
KICKBACK_TOO_SOON: Final = 41008
UPDATED_ALREADY: Final = 41009
BAD_CODE: Final = 41010
ONLY_MAIN_ACCOUNT: Final = 41011
OWN_CODE: Final = 41012
WEEK_US: Final = 7 * 86_400_000_000
USES: Final = 100
"""How often a code may be used; the exchange's own number is not documented."""
_CODE: Final = re.compile(r"[A-Z0-9]{4,14}")
_LETTERS: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_MADE_LENGTH: Final = 8
_NO_TRADES: Final[dict[str, Any]] = {
    "count": 0,
    "volume": "0",
    "web_count": 0,
    "web_volume": "0",
    "mobile_app_count": 0,
    "mobile_app_volume": "0",
    "mobile_browser_count": 0,
    "mobile_browser_volume": "0",
    "maker_fees_paid": "0",
    "taker_fees_paid": "0",
    "free_maker_volume": "0",
    "free_taker_volume": "0",
    "non_free_maker_volume": "0",
    "non_free_taker_volume": "0",
}
_TOTALS: Final = (
    "volume",
    "free_maker_volume",
    "free_taker_volume",
    "non_free_maker_volume",
    "non_free_taker_volume",
    "maker_fees_paid",
    "taker_fees_paid",
)


@dataclass(slots=True)
class _Code:
    text: str
    renamed: bool = False
    kickback: Decimal = Decimal(0)
    kickback_at_us: int | None = None


@dataclass(frozen=True, slots=True)
class _Use:
    l1_address: str
    code: str
    at_us: int


class Referrals:
    """Endpoints about referral codes."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor
        self._codes: dict[str, _Code] = {}
        self._uses: dict[str, _Use] = {}

    def public_routes(self) -> dict[str, Callable[[Parameters], Any]]:
        """Return the answering method of each path that anybody may read."""
        return {"/api/v1/referral/get": self._get}

    def bearer_routes(self) -> dict[str, Callable[[Account, Parameters], Any]]:
        """Return the answering method of each path that an owner may read."""
        v1 = "/api/v1/"
        return {
            v1 + "referral/userReferrals": self._user_referrals,
            v1 + "referral/stats": lambda *_: {"code": OK, "stats": []},
            v1 + "l1Metadata": self._metadata,
        }

    def change_routes(self) -> dict[str, Callable[[Account, Parameters], Any]]:
        """Return the method of each change that an account may ask for."""
        v1 = "/api/v1/referral/"
        return {
            v1 + "create": self._create,
            v1 + "update": self._update,
            v1 + "kickback/update": self._update_kickback,
        }

    def bearer_changes(self) -> dict[str, Callable[[Account, Parameters], Any]]:
        """Return the method of each change that an owner may ask for."""
        return {"/api/v1/referral/use": self._use}

    # ------------------------------------------------------------------ reading

    def _left(self, code: _Code) -> int:
        return USES - sum(use.code == code.text for use in self._uses.values())

    def _told(self, code: _Code | None) -> dict[str, Any]:
        text, left = ("", 0) if code is None else (code.text, self._left(code))
        return {"code": OK, "referral_code": text, "remaining_usage": left}

    def _get(self, query: Parameters) -> Any:
        index = query.integer("account_index", low=0)
        account = self._floor.exchange.accounts.get(index)
        require(account is not None, 21100)
        return self._told(None if account is None else self._code_of(account))

    def _code_of(self, account: Account) -> _Code | None:
        return self._codes.get(account.l1_address.lower())

    def _user_referrals(self, account: Account, query: Parameters) -> Any:
        limit = query.integer("limit", 100, low=1, high=300)
        code, own = self._code_of(account), account.l1_address.lower()
        uses = [
            use
            for use in reversed(self._uses.values())
            if code is not None and use.code == code.text
        ]
        wanted, cursor = page(uses, query, limit, key=lambda use: (use.at_us,))
        rows = [
            {
                "l1_address": use.l1_address,
                "referral_code": use.code,
                "used_at": use.at_us // 1_000_000,
                "trade_stats": _NO_TRADES,
                "tier": "",
                "source": "",
            }
            for use in wanted
        ]
        totals: dict[str, Any] = dict.fromkeys(_TOTALS, "0")
        totals |= {"count": 0, "total_premium_referrals": 0}
        used = self._uses.get(own)
        return {
            "code": OK,
            "cursor": cursor,
            "referrals": rows,
            "used_code": "" if used is None else used.code,
            "totals": {**totals, "total_referrals": len(uses)},
        }

    def _metadata(self, account: Account, query: Parameters) -> Any:
        query.text("l1_address")
        code = self._code_of(account)
        kickback = Decimal(0) if code is None else code.kickback
        return {
            "l1_address": account.l1_address,
            "can_invite": code is not None,
            "referral_points_percentage": "0",
            "referral_program_kickback": str(kickback),
            "referral_program_kickback_history": [],
        }

    # ----------------------------------------------------------------- changing

    def _taken(self, text: str) -> bool:
        return any(code.text == text for code in self._codes.values())

    def _create(self, account: Account, _: Parameters) -> Any:
        owner = account.l1_address.lower()
        require(account.profile.master is None, ONLY_MAIN_ACCOUNT)
        require(owner not in self._codes, EXISTS)
        seed = f"{self._floor.settings.seed} referral {owner}"
        digest = hashlib.sha256(seed.encode()).digest()
        letters = (_LETTERS[byte % len(_LETTERS)] for byte in digest[:_MADE_LENGTH])
        code = self._codes[owner] = _Code("".join(letters))
        return self._told(code)

    def _asked_code(self, account: Account) -> _Code:
        code = self._code_of(account)
        require(code is not None, INVALID, "Invalid referral code: there is none yet")
        return code or _Code("")

    def _update(self, account: Account, form: Parameters) -> Any:
        text = form.text("new_referral_code")
        require(_CODE.fullmatch(text), BAD_CODE)
        code = self._asked_code(account)
        require(not code.renamed, UPDATED_ALREADY)
        require(not self._taken(text), EXISTS)
        code.text, code.renamed = text, True
        return {"code": OK, "success": True}

    def _update_kickback(self, account: Account, form: Parameters) -> Any:
        try:
            share = Decimal(form.text("kickback_percentage"))
        except InvalidOperation:
            raise wrong("kickback_percentage", "must be a number") from None
        if not 0 <= share <= 100:  # noqa: PLR2004 - percent
            raise wrong("kickback_percentage", "must be within 0..100")
        code, now_us = self._asked_code(account), self._floor.now_us()
        last_us = code.kickback_at_us
        require(last_us is None or now_us - last_us >= WEEK_US, KICKBACK_TOO_SOON)
        code.kickback, code.kickback_at_us = share, now_us
        return {"code": OK, "success": True}

    def _use(self, account: Account, form: Parameters) -> Any:
        owner, text = account.l1_address.lower(), form.text("referral_code")
        form.text("x")
        form.text("l1_address")  # the token's owner, or it would not be here
        require(text, REQUIRED)
        own = self._codes.get(owner)
        require(own is None or own.text != text, OWN_CODE)
        require(owner not in self._uses, USED_ALREADY)
        require(self._taken(text), INVALID)
        self._uses[owner] = _Use(account.l1_address, text, self._floor.now_us())
        return {"code": OK}
