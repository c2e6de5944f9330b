"""Read-only tokens of the local exchange: made for an account, read until they expire.

Form and bounds as in the official API documentation and its schema:
`ro:account:scope:expiry:hex`, scope `single` or `all`, a day to ten years, at most
ten of them for an account.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from wrappy.venue.refusal import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wrappy.venue.accounts import Account

MOST_TOKENS: Final = 10
SHORTEST_LIFE_S: Final = 86_400
LONGEST_LIFE_S: Final = 10 * 365 * 86_400

_TOKEN: Final = re.compile(
    r"ro:(0|[1-9][0-9]{0,18}):(single|all):(0|[1-9][0-9]{0,18}):([0-9a-f]+)"
)
_SECRET_BITS: Final = 256
_TOO_SHORT, _TOO_LONG, _TOO_MANY, _UNKNOWN = 61001, 61002, 61003, 61005


@dataclass(frozen=True, slots=True)
class ReadOnlyToken:
    """What a read-only token says of itself, unchecked.

    Attributes:
        account_index: the account it was made for.
        every_sub_account: whether it opens that owner's other accounts as well.
        expires_s: unix seconds after which it is worthless.
    """

    account_index: int
    every_sub_account: bool
    expires_s: int


@dataclass(slots=True)
class IssuedToken:
    """A read-only token as its owner sees it in a list.

    Attributes:
        token_id: counts from 1.
        name: what the owner calls it.
        text: the token itself.
        token: what it says of itself.
        revoked: whether its owner made it worthless.
    """

    token_id: int
    name: str
    text: str = field(repr=False)
    token: ReadOnlyToken
    revoked: bool = False


def parse_read_only_token(text: str) -> ReadOnlyToken | None:
    """Take a read-only token apart; None when the text is none."""
    match = _TOKEN.fullmatch(text)
    if match is None:
        return None
    account, scope, expiry, _ = match.groups()
    return ReadOnlyToken(int(account), scope == "all", int(expiry))


class ReadOnlyTokens:
    """The read-only tokens of one exchange.

    Args:
        accounts: by index.
        seed: seeds their secret part, so that a run can be repeated.
    """

    def __init__(self, accounts: Mapping[int, Account], *, seed: int) -> None:
        self._accounts = accounts
        self._chance = random.Random(f"{seed}/read-only-tokens")
        self._live: dict[str, ReadOnlyToken] = {}
        self._issued: list[IssuedToken] = []

    def create(
        self,
        account_index: int,
        *,
        expires_s: int,
        sub_accounts: bool,
        now_s: int,
        name: str = "",
    ) -> str:
        """Return a new token of an account.

        Args:
            account_index: the account.
            expires_s: unix seconds.
            sub_accounts: whether it opens that owner's other accounts as well.
            now_s: unix seconds.
            name: what the owner calls it.

        Raises:
            Refused: 61001 or 61002, it would live too short or too long; 61003, the
                account has ten already.
        """
        if expires_s - now_s < SHORTEST_LIFE_S:
            raise Refused(_TOO_SHORT)
        if expires_s - now_s > LONGEST_LIFE_S:
            raise Refused(_TOO_LONG)
        of_account = [
            token
            for token in self._live.values()
            if token.account_index == account_index and token.expires_s > now_s
        ]
        if len(of_account) >= MOST_TOKENS:
            raise Refused(_TOO_MANY)
        scope = "all" if sub_accounts else "single"
        secret = f"{self._chance.getrandbits(_SECRET_BITS):064x}"
        text = f"ro:{account_index}:{scope}:{expires_s}:{secret}"
        token = ReadOnlyToken(account_index, sub_accounts, expires_s)
        self._live[text] = token
        self._issued.append(IssuedToken(len(self._issued) + 1, name, text, token))
        return text

    def revoke(self, text: str) -> None:
        """Make a token worthless.

        Raises:
            Refused: 61005, there is no such token.
        """
        if self._live.pop(text, None) is None:
            raise Refused(_UNKNOWN)
        for issued in self._issued:
            issued.revoked |= issued.text == text

    def issued(self, account_index: int) -> list[IssuedToken]:
        """Return every token an account ever made, oldest first."""
        return [
            issued
            for issued in self._issued
            if issued.token.account_index == account_index
        ]

    def revoke_numbered(self, account_index: int, token_id: int) -> None:
        """Make one of an account's tokens worthless, by its number.

        Raises:
            Refused: 61005, the account has no such token; 61006, it is revoked already.
        """
        for issued in self.issued(account_index):
            if issued.token_id == token_id and issued.revoked:
                raise Refused(61006)
            if issued.token_id == token_id:
                self.revoke(issued.text)
                return
        raise Refused(61005)

    def find(self, text: str) -> ReadOnlyToken | None:
        """Return a token that was made here and not revoked, expired or not."""
        return self._live.get(text)

    def opens(self, token: ReadOnlyToken, account_index: int) -> bool:
        """Return whether a token lets its bearer read that account."""
        if token.account_index == account_index:
            return True
        account = self._accounts.get(account_index)
        owner = self._accounts.get(token.account_index)
        return (
            token.every_sub_account
            and account is not None
            and owner is not None
            and account.l1_address == owner.l1_address
        )
