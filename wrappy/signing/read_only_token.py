"""Read-only tokens: made at the exchange once, good for days or years.

Such a token is `ro:account:scope:expiry:digits`, where the scope is `single` or
`all` (official API documentation). It reads what its account may read, the `all` kind
also for the account's sub-accounts, and cannot send anything. The digits are the
exchange's own secret: nobody else can check them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from wrappy.signing.auth_token import parse_auth_token

_READ_ONLY = re.compile(
    r"ro:(0|[1-9][0-9]{0,18}):(single|all):([1-9][0-9]{0,11}):([0-9a-fA-F]{8,512})"
)


@dataclass(frozen=True, slots=True)
class TokenScope:
    """What a token's own text says of it.

    Attributes:
        account_index: the account it was made for.
        deadline_s: unix seconds after which it is worthless.
        reads_sub_accounts: whether it reads other accounts of the same owner too.
        read_only: whether it was made at the exchange, not signed with an API key.
    """

    account_index: int
    deadline_s: int
    reads_sub_accounts: bool
    read_only: bool


def token_scope(text: str) -> TokenScope:
    """Read a token of either kind.

    Raises:
        ValueError: the text has neither form; the message does not repeat it.
    """
    match = _READ_ONLY.fullmatch(text)
    if match is not None:
        account, scope, deadline, _ = match.groups()
        return TokenScope(
            int(account),
            int(deadline),
            reads_sub_accounts=scope == "all",
            read_only=True,
        )
    try:
        signed = parse_auth_token(text)
    except ValueError:
        raise ValueError(
            "a read-only token reads ro:account_index:single:expiry:digits (or all "
            "for single), one signed with a key "
            "deadline:account_index:api_key_index:signature"
        ) from None
    return TokenScope(
        signed.account_index,
        signed.deadline_s,
        reads_sub_accounts=False,
        read_only=False,
    )
