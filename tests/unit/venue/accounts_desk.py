"""An exchange of three owners' accounts, for tests of what is not trading."""

from __future__ import annotations

import base64

import pytest

from wrappy._core.ledger import AccountLedger
from wrappy.model import Market
from wrappy.venue.accounts import Account, ApiKey, open_accounts
from wrappy.venue.exchange import Exchange, Refused
from wrappy.venue.settings import VenueSettings

ETH = Market("ETH", 0, 2, 4, 50, 10_000_000)
START_US = 1_800_000_000_000_000
ALICE, TWIN, BOB = 100, 101, 102
"""Alice and her twin belong to one owner."""
USDC = 1_000_000
COLLATERAL = 1_000 * USDC
FEE = 3 * USDC
PRICE = 300_000
NEW_KEY = base64.b64encode(bytes(range(40))).decode()
IOC, GTT, POST_ONLY = 0, 1, 2


class AccountsDesk:
    """The exchange, its clock, and transactions by short names."""

    def __init__(self, **settings):
        self.settings = VenueSettings(**{"tier": "premium", **settings})
        accounts = open_accounts(self.settings, ())
        for index, owner in ((ALICE, "0xa"), (TWIN, "0xa"), (BOB, "0xb")):
            accounts[index] = Account(
                index=index,
                l1_address=owner,
                tier=self.settings.tier_named(self.settings.tier),
                api_keys={slot: ApiKey(slot, "00" * 40, 1) for slot in (4, 5)},
                ledger=AccountLedger(collateral=COLLATERAL),
            )
        self.now_us = START_US
        self.sent = 0
        self.exchange = Exchange(self.settings, (ETH,), accounts, now_us=START_US)
        self.accounts = accounts

    @property
    def log(self):
        return self.exchange.log

    def money(self, index):
        return self.accounts[index].ledger.collateral

    def everything(self):
        """Return all money there is, in all accounts."""
        return sum(
            account.ledger.collateral
            + account.ledger.fees_paid
            + account.spot.balance(3)
            for account in self.accounts.values()
        )

    def send(self, tx_type, account=ALICE, *, key=4, **fields):
        self.sent += 1
        slot = self.accounts[account].api_keys.get(key)
        nonce = slot.nonce if slot else 1
        name = "FromAccountIndex" if tx_type in (12, 13) else "AccountIndex"
        info = {
            name: account,
            "ApiKeyIndex": key,
            "ExpiredAt": self.now_us // 1_000 + 600_000,
            "Nonce": nonce,
            "Sig": "",
            "L2TxAttributes": None,
            **fields,
        }
        self.exchange.submit(tx_type, info, f"{self.sent:080x}", now_us=self.now_us)
        self.run()
        return self.exchange.transaction(f"{self.sent:080x}")

    def run(self, seconds=1.0):
        self.now_us += int(seconds * 1_000_000)
        return self.exchange.advance(self.now_us)

    def transfer(self, to, amount, account=ALICE, *, key=4, **fields):
        receiver, sender = self.accounts.get(to), self.accounts[account]
        own = receiver is not None and receiver.l1_address == sender.l1_address
        told = {
            "ToAccountIndex": to,
            "AssetIndex": 3,
            "FromRouteType": 0,
            "ToRouteType": 0,
            "Amount": amount,
            "USDCFee": 0 if own else self.settings.transfer_fee,
            "Memo": [0] * 32,
        }
        return self.send(12, account, key=key, **{**told, **fields})

    def withdraw(self, amount, account=ALICE, **fields):
        told = {"AssetIndex": 3, "RouteType": 0, "Amount": amount}
        return self.send(13, account, **{**told, **fields})

    def order(self, account=ALICE, *, key=4, **changes):
        fields = {
            "MarketIndex": 0,
            "ClientOrderIndex": 0,
            "BaseAmount": 1_000,
            "Price": PRICE,
            "IsAsk": 0,
            "Type": 0,
            "TimeInForce": GTT,
            "ReduceOnly": 0,
            "TriggerPrice": 0,
            "OrderExpiry": self.now_us // 1_000 + 3_600_000,
            **changes,
        }
        if fields["TimeInForce"] == IOC:
            fields["OrderExpiry"] = 0
        return self.send(14, account, key=key, **fields)

    def refused(self, call, *args, **fields):
        with pytest.raises(Refused) as refusal:
            call(*args, **fields)
        return refusal.value.code
