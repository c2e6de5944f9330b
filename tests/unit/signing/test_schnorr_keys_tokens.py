"""Signatures, key pairs, tokens and the verifying facade."""

from __future__ import annotations

import base64
import copy
import pickle

import pytest

from wrappy.errors import CredentialsError
from wrappy.protocol.intents import CancelOrder
from wrappy.protocol.transactions import TransactionFieldError, parse_tx_info
from wrappy.signing import PythonSigner, curve, schnorr
from wrappy.signing.auth_token import make_auth_token, parse_auth_token
from wrappy.signing.keys import (
    KeyPair,
    derive_key_pair,
    new_key_pair,
    public_key_of,
    secret_scalar,
)
from wrappy.signing.verify import (
    verify_auth_token,
    verify_transaction,
    verify_transaction_hash,
)

PAIR = derive_key_pair(b"schnorr tests")
SECRET = secret_scalar(PAIR.private_key)
PUBLIC = bytes.fromhex(PAIR.public_key)
MESSAGE = [1, 2, 3, 4, 5]


def test_a_signature_verifies_and_no_other_message_or_key_does():
    signature = schnorr.sign(SECRET, MESSAGE)
    assert schnorr.verify(PUBLIC, MESSAGE, signature)
    assert not schnorr.verify(PUBLIC, [1, 2, 3, 4, 6], signature)
    stranger = bytes.fromhex(derive_key_pair(b"stranger").public_key)
    assert not schnorr.verify(stranger, MESSAGE, signature)


def test_two_signatures_of_a_message_differ():
    assert schnorr.sign(SECRET, MESSAGE) != schnorr.sign(SECRET, MESSAGE)


@pytest.mark.parametrize("length", [0, 79, 81])
def test_a_signature_of_another_length_is_refused(length):
    assert not schnorr.verify(PUBLIC, MESSAGE, bytes(length))


def test_scalars_that_are_not_reduced_are_refused():
    signature = schnorr.sign(SECRET, MESSAGE)
    response, challenge = signature[:40], signature[40:]
    for half in (response, challenge):
        number = int.from_bytes(half, "little") + curve.GROUP_ORDER
        bumped = number.to_bytes(40, "little") if number < 2**320 else b"\xff" * 40
        assert not schnorr.verify(PUBLIC, MESSAGE, signature.replace(half, bumped))


@pytest.mark.parametrize(
    "key", [b"", bytes(39), bytes(40), b"\xff" * 40], ids=["none", "39", "zero", "ones"]
)
def test_a_key_that_names_no_element_but_zero_verifies_nothing(key):
    assert not schnorr.verify(key, MESSAGE, schnorr.sign(SECRET, MESSAGE))


def test_the_private_key_is_hidden_and_stays_in_the_process():
    for shown in (repr(PAIR), str(PAIR), f"{[PAIR]}"):
        assert PAIR.private_key not in shown
        assert PAIR.public_key in shown
    with pytest.raises(TypeError, match="private key"):
        pickle.dumps(PAIR)
    with pytest.raises(TypeError, match="private key"):
        copy.copy(PAIR)


def test_a_seed_always_gives_the_same_pair():
    assert derive_key_pair(b"schnorr tests") == PAIR
    assert derive_key_pair(b"") != derive_key_pair(b"\0")


def test_new_pairs_differ_and_work():
    first, second = new_key_pair(), new_key_pair()
    assert isinstance(first, KeyPair)
    assert first != second
    assert public_key_of(first.private_key) == first.public_key


def test_a_private_key_may_carry_a_prefix_and_capitals():
    assert public_key_of("0x" + PAIR.private_key.upper()) == PAIR.public_key


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ab",
        "0x" + "1" * 79,
        "1" * 82,
        "g" * 80,
        " " + "1" * 80,
        "1" * 80 + "\n",
        "0" * 80,
        "f" * 80,
        curve.GROUP_ORDER.to_bytes(40, "little").hex(),
    ],
)
def test_a_bad_private_key_is_named_but_never_repeated(text):
    with pytest.raises(CredentialsError, match="my_setting") as caught:
        secret_scalar(text, name="my_setting")
    assert len(text) < 10 or text.strip() not in str(caught.value)


def test_a_token_round_trips_and_verifies():
    text = make_auth_token(
        SECRET, deadline_s=1_800_000_000, account_index=42, api_key_index=5
    )
    token = parse_auth_token(text)
    assert (token.deadline_s, token.account_index) == (1_800_000_000, 42)
    assert token.api_key_index == 5
    assert verify_auth_token(token, PAIR.public_key)


def test_a_token_with_another_deadline_does_not_verify():
    text = make_auth_token(SECRET, deadline_s=1000, account_index=42, api_key_index=5)
    later = parse_auth_token("2000" + text.removeprefix("1000"))
    assert not verify_auth_token(later, PAIR.public_key)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1:2:3",
        "1:2:3:" + "0" * 159,
        "1:2:3:" + "0" * 161,
        "1:2:3:" + "G" * 160,
        "1:2:3:" + "A" * 160,
        "01:2:3:" + "0" * 160,
        "+1:2:3:" + "0" * 160,
        "-1:2:3:" + "0" * 160,
        "\u0661:2:3:" + "0" * 160,
        "1:2:3000:" + "0" * 160,
        "1:2:3:" + "0" * 160 + "\n",
        "ro:2:single:3:" + "0" * 160,
    ],
)
def test_a_token_of_another_form_is_refused_without_being_repeated(text):
    with pytest.raises(ValueError, match="auth token must read") as caught:
        parse_auth_token(text)
    assert not text or text not in str(caught.value)


def signed_cancel():
    signer = PythonSigner(
        PAIR.private_key, account_index=42, api_key_index=5, chain_id=304
    )
    return signer.sign(CancelOrder(0, 7), nonce=1)


def test_a_transaction_verifies_by_its_fields_and_by_its_hash():
    tx = signed_cancel()
    info = parse_tx_info(tx.tx_info)
    assert verify_transaction(tx.tx_type, info, 304, PAIR.public_key)
    assert verify_transaction_hash(tx.tx_hash, info["Sig"], PAIR.public_key)


def test_another_chain_refuses_the_signature():
    tx = signed_cancel()
    info = parse_tx_info(tx.tx_info)
    assert not verify_transaction(tx.tx_type, info, 300, PAIR.public_key)


@pytest.mark.parametrize(
    "signature",
    ["", "=", "not base64", "\u00e9", base64.b64encode(bytes(80)).decode() + "\n"],
)
def test_a_malformed_signature_is_only_false(signature):
    tx = signed_cancel()
    info = {**parse_tx_info(tx.tx_info), "Sig": signature}
    assert verify_transaction(tx.tx_type, info, 304, PAIR.public_key) is False
    assert verify_transaction_hash(tx.tx_hash, signature, PAIR.public_key) is False


@pytest.mark.parametrize("key", ["", "zz", "0x" + PAIR.public_key, "00" * 40])
def test_a_malformed_public_key_is_only_false(key):
    tx = signed_cancel()
    assert not verify_transaction(tx.tx_type, parse_tx_info(tx.tx_info), 304, key)


def test_malformed_fields_are_an_error_of_their_own():
    info = parse_tx_info(signed_cancel().tx_info)
    with pytest.raises(TransactionFieldError):
        verify_transaction(14, info, 304, PAIR.public_key)
