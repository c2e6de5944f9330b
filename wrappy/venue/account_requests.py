"""What an account asks to be done with a token and without a transaction.

Field names follow the official OpenAPI file and the official SDK's models.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from wrappy.protocol.codes import OK
from wrappy.venue.events import Announced
from wrappy.venue.messages import json_list
from wrappy.venue.parameters import wrong
from wrappy.venue.refusal import require

if TYPE_CHECKING:
    from collections.abc import Callable

    from wrappy.venue.accounts import Account
    from wrappy.venue.floor import Floor
    from wrappy.venue.parameters import Parameters
    from wrappy.venue.read_only_tokens import IssuedToken

READS_ALL: Final = "read.*"
"""The one scope that the local exchange gives."""
_LONGEST_NAME: Final = 50
_NAME: Final = re.compile(r"[A-Za-z0-9 _.-]*")


class AccountRequests:
    """Every POST that needs a token; the caller has checked it already."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor

    def routes(self) -> dict[str, Callable[[Account, Parameters], Any]]:
        """Return the answering method of each path."""
        v1 = "/api/v1/"
        return {
            v1 + "tokens/create": self._create_token,
            v1 + "tokens/revoke": self._revoke_token,
            v1 + "notification/ack": self._acknowledge,
            v1 + "changeAccountTier": self._change_tier,
            v1 + "setMakerOnlyApiKeys": self._set_maker_only,
        }

    def _create_token(self, account: Account, form: Parameters) -> Any:
        name = form.text("name")
        require(name, 61007)
        require(len(name) <= _LONGEST_NAME, 61008)
        require(_NAME.fullmatch(name), 61009)
        require(form.text("scopes", READS_ALL) == READS_ALL, 61004)
        expiry = form.integer("expiry", low=0)
        self._floor.create_read_only_token(
            account.index,
            life_s=expiry - self._floor.now_us() // 1_000_000,
            sub_accounts=form.flag("sub_account_access"),
            name=name,
        )
        made = self._floor.read_only_tokens.issued(account.index)[-1]
        return {"code": OK, **token_row(made)}

    def _revoke_token(self, account: Account, form: Parameters) -> Any:
        token_id = form.integer("token_id", low=0)
        self._floor.read_only_tokens.revoke_numbered(account.index, token_id)
        return {"code": OK, "token_id": token_id, "revoked": True}

    def _change_tier(self, account: Account, form: Parameters) -> Any:
        self._floor.change_tier(account, form.text("new_tier").strip().lower())
        return {"code": OK, "message": ""}

    def _set_maker_only(self, account: Account, form: Parameters) -> Any:
        name = "api_key_indexes"
        slots = json_list(form.text(name), name)
        if any(type(slot) is not int for slot in slots):
            raise wrong(name, "must be a list of integers")
        self._floor.set_maker_only(account, slots)
        return {"code": OK, "message": ""}

    def _acknowledge(self, account: Account, form: Parameters) -> Any:
        # The stream never sends a notification again: there is nothing to remember.
        wanted = form.text("notif_id")
        told = self._floor.exchange.log.of(Announced)
        if (account.index, wanted) not in {
            (e.account, e.notification_id) for e in told
        }:
            raise wrong("notif_id", "is no notification of this account")
        return {"code": OK}


def token_row(issued: IssuedToken) -> dict[str, Any]:
    """Return one read-only token as its owner's list prints it."""
    return {
        "token_id": issued.token_id,
        "api_token": issued.text,
        "name": issued.name,
        "account_index": issued.token.account_index,
        "expiry": issued.token.expires_s,
        "sub_account_access": issued.token.every_sub_account,
        "revoked": issued.revoked,
        "scopes": READS_ALL,
    }
