"""What became of an account's money: deposits, withdrawals, transfers and their fee.

Bodies follow the official OpenAPI file. There is no base chain: what an account began
with is its one deposit, a withdrawal can be claimed at once and nobody claims it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from wrappy.protocol.codes import OK
from wrappy.protocol.markets import USDC_ASSET
from wrappy.venue.gate import INVALID_PARAMETER
from wrappy.venue.parameters import page, wrong
from wrappy.venue.refusal import require
from wrappy.venue.render import usdc_text
from wrappy.venue.transfers import (
    ASSET_DECIMALS,
    FAST_BRIDGE,
    ROUTE_SPOT,
    transfer_fee,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from wrappy.venue.account_events import Transferred, Withdrawn
    from wrappy.venue.accounts import Account
    from wrappy.venue.floor import Floor
    from wrappy.venue.parameters import Parameters

FAST_WITHDRAWAL_PATH: Final = "/api/v1/fastwithdraw"
DONE: Final = {"code": OK, "message": ""}
_PAGE: Final = 100
_NO_HASH: Final = "0x" + "0" * 64
_ANYBODY: Final = -1
_OTHER_KINDS: Final = (
    "L2MintShares",
    "L2BurnShares",
    "L2StakeAssets",
    "L2UnstakeAssets",
    "L2CreatePublicPool",
    "L2CreateStakingPool",
    "L1BurnShares",
    "L1UnstakeAssets",
)
_TRANSFERS: Final = ("all", "L2Transfer")


def amount_text(asset: int, amount: int) -> str:
    """Return an amount in an asset's own smallest unit as decimal text."""
    if asset == USDC_ASSET:
        return usdc_text(amount)
    digits = str(amount).rjust(ASSET_DECIMALS + 1, "0")
    return f"{digits[:-ASSET_DECIMALS]}.{digits[-ASSET_DECIMALS:]}"


def route_word(route: int) -> str:
    """Return a route as histories spell it."""
    return "spot" if route == ROUTE_SPOT else "perps"


def fast_withdrawal(form: Parameters) -> str:
    """Return the transfer that a request for a fast withdrawal carries, as text.

    Its memo must begin with the address that is to be paid.

    Raises:
        Refused: 20001, the address is none.
    """
    address = form.text("to_address").lower().removeprefix("0x")
    try:
        is_address = len(bytes.fromhex(address)) == 20  # noqa: PLR2004 - its bytes
    except ValueError:
        is_address = False
    require(is_address, INVALID_PARAMETER, "invalid param: to_address is no address")
    return form.text("tx_info")


class MoneyHistory:
    """Private questions about money that came and went."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor

    def routes(self) -> dict[str, Callable[[Account, Parameters], Any]]:
        """Return the answering method of each path; each needs a token."""
        v1 = "/api/v1/"
        return {
            v1 + "deposit/history": self._deposits,
            v1 + "withdraw/history": self._withdrawals,
            v1 + "transfer/history": self._transfers,
            v1 + "transferFeeInfo": self._fee,
            v1 + "fastwithdraw/info": self._fast,
            v1 + "getMakerOnlyApiKeys": lambda account, _: {
                "code": OK,
                "api_key_indexes": sorted(account.profile.maker_only),
            },
        }

    def _deposits(self, account: Account, query: Parameters) -> Any:
        address = query.text("l1_address")
        if address.lower() != account.l1_address.lower():
            raise wrong("l1_address", "is not the account's")
        rows = []
        wanted = query.choice("filter", "all", "pending", "claimable", default="all")
        if wanted == "all" and account.profile.deposited:
            rows.append(
                {
                    "id": "1",
                    "asset_id": USDC_ASSET,
                    "amount": usdc_text(account.profile.deposited),
                    "timestamp": self._floor.opened_us // 1_000,
                    "status": "completed",
                    "l1_tx_hash": _NO_HASH,
                }
            )
        return {"code": OK, "deposits": rows, "cursor": ""}

    def _withdrawals(self, account: Account, query: Parameters) -> Any:
        wanted = query.choice("filter", "all", "pending", "claimable", default="all")
        matching = [
            _withdrawal_row(gone)
            for gone in reversed(account.profile.withdrawals)
            if wanted == "all" or (wanted == "claimable" and not gone.is_fast)
        ]
        rows, cursor = page(matching, query, _PAGE)
        return {"code": OK, "withdraws": rows, "cursor": cursor}

    def _transfers(self, account: Account, query: Parameters) -> Any:
        kinds = query.text("type", "all").split(",")
        for kind in kinds:
            if kind not in _TRANSFERS + _OTHER_KINDS:
                options = ", ".join(_TRANSFERS + _OTHER_KINDS)
                raise wrong("type", f"must be one of {options}")
        matching = list(reversed(account.profile.transfers))
        if not any(kind in _TRANSFERS for kind in kinds):
            matching = []
        found, cursor = page(matching, query, _PAGE)
        rows = [self._transfer_row(account, moved) for moved in found]
        return {"code": OK, "transfers": rows, "cursor": cursor}

    def _transfer_row(self, account: Account, moved: Transferred) -> dict[str, Any]:
        accounts = self._floor.exchange.accounts
        kind = "L2SelfTransfer"
        if moved.sender != moved.receiver:
            is_out = moved.sender == account.index
            kind = "L2TransferOutflow" if is_out else "L2TransferInflow"
        return {
            "id": str(moved.transfer_id),
            "asset_id": moved.asset,
            "amount": amount_text(moved.asset, moved.amount),
            "fee": usdc_text(moved.fee),
            "timestamp": moved.at_us // 1_000,
            "type": kind,
            "from_l1_address": accounts[moved.sender].l1_address,
            "to_l1_address": accounts[moved.receiver].l1_address,
            "from_account_index": moved.sender,
            "to_account_index": moved.receiver,
            "from_route": route_word(moved.from_route),
            "to_route": route_word(moved.to_route),
            "tx_hash": moved.tx_hash,
        }

    def _fee(self, account: Account, query: Parameters) -> Any:
        index = query.integer("to_account_index", _ANYBODY, low=_ANYBODY)
        receiver = self._floor.exchange.accounts.get(index)
        known = receiver is not None or index in (_ANYBODY, FAST_BRIDGE)
        require(known, 21100)
        fee = transfer_fee(self._floor.settings, account, receiver)
        return {"code": OK, "transfer_fee_usdc": fee}

    def _fast(self, account: Account, _: Parameters) -> Any:
        most = usdc_text(self._floor.statement(account).available)
        return {
            "code": OK,
            "to_account_index": FAST_BRIDGE,
            "withdraw_limit": most,
            "max_withdrawal_amount": most,
        }


def _withdrawal_row(gone: Withdrawn) -> dict[str, Any]:
    return {
        "id": str(gone.withdrawal_id),
        "asset_id": gone.asset,
        "amount": amount_text(gone.asset, gone.amount),
        "timestamp": gone.at_us // 1_000,
        "status": "completed" if gone.is_fast else "claimable",
        "type": "fast" if gone.is_fast else "secure",
        "l1_tx_hash": _NO_HASH if gone.is_fast else "",
    }
