"""Texts for the wallet, letter by letter those of the official signer."""

from __future__ import annotations

import base64

from wrappy.protocol.l1_messages import l1_message

KEY = "8668ee9c43378d2ca97c857d23a5c7cb20b2371a40bf2dbaecd0d6e5dbfa9416dc5e14dcb3d8ef94"
COMMON = {"Nonce": 7, "ApiKeyIndex": 5}


def test_a_change_of_key():
    info = {
        **COMMON,
        "AccountIndex": 65,
        "PubKey": base64.b64encode(bytes.fromhex(KEY)).decode(),
    }
    assert l1_message(8, info, 304) == (
        "Register Lighter Account\n\n"
        f"pubkey: 0x{KEY}\n"
        "nonce: 0x0000000000000007\n"
        "account index: 0x0000000000000041\n"
        "api key index: 0x0000000000000005\n"
        "Only sign this message for a trusted client!"
    )


def test_a_transfer():
    info = {
        **COMMON,
        "FromAccountIndex": 65,
        "ToAccountIndex": 281_474_976_710_600,
        "AssetIndex": 3,
        "FromRouteType": 0,
        "ToRouteType": 1,
        "Amount": 1_234_567,
        "USDCFee": 3_000_000,
        "Memo": [97] * 32,
    }
    assert l1_message(12, info, 304) == (
        "Transfer\n\n"
        "nonce: 0x0000000000000007\n"
        "from: 0x0000000000000041 (route 0x0000000000000000)\n"
        "api key: 0x0000000000000005\n"
        "to: 0x0000ffffffffffc8 (route 0x0000000000000001)\n"
        "asset: 0x0000000000000003\n"
        "amount: 0x000000000012d687\n"
        "fee: 0x00000000002dc6c0\n"
        "chainId: 0x0000000000000130\n"
        f"memo: {'61' * 32}\n"
        "Only sign this message for a trusted client!"
    )


def test_an_integrators_approval():
    info = {
        **COMMON,
        "AccountIndex": 65,
        "IntegratorAccountIndex": 77,
        "MaxPerpsTakerFee": 1,
        "MaxPerpsMakerFee": 2,
        "MaxSpotTakerFee": 3,
        "MaxSpotMakerFee": 4,
        "ApprovalExpiry": 1_795_298_592_799,
    }
    assert l1_message(45, info, 304) == (
        "Approve Integrator\n\n"
        "nonce: 0x0000000000000007\n"
        "account index: 0x0000000000000041\n"
        "api key index: 0x0000000000000005\n"
        "integrator account index: 0x000000000000004d\n"
        "max perps taker fee: 0x0000000000000001\n"
        "max perps maker fee: 0x0000000000000002\n"
        "max spot taker fee: 0x0000000000000003\n"
        "max spot maker fee: 0x0000000000000004\n"
        "approval expiry: 0x000001a20022881f\n"
        "chainId: 0x0000000000000130\n"
        "Only sign this message for a trusted client!"
    )


def test_nothing_else_is_the_wallets_to_sign():
    assert l1_message(14, COMMON, 304) is None
