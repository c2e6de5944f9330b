"""Wallet signatures against two independent implementations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrappy.signing.ethereum import address_of, keccak_256, signer_of

eth_account = pytest.importorskip("eth_account", reason="eth-account is not installed")
messages = pytest.importorskip("eth_account.messages")
hashing = pytest.importorskip("Crypto.Hash.keccak", reason="no other Keccak there")

KEY = "0x" + "4c" * 32
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def signed(text, key=KEY):
    prepared = messages.encode_defunct(text=text)
    return eth_account.Account.sign_message(prepared, key).signature.hex()


@given(st.binary(max_size=300))
def test_the_hash_is_that_of_another_implementation(data):
    theirs = hashing.new(digest_bits=256, data=data)
    assert keccak_256(data) == theirs.digest()


@given(st.integers(1, ORDER - 1))
def test_an_address_is_that_of_another_implementation(scalar):
    key = f"{scalar:064x}"
    assert address_of(key) == eth_account.Account.from_key(key).address.lower()


@given(st.text(max_size=50), st.integers(1, ORDER - 1))
def test_the_signer_of_a_text_is_found(text, scalar):
    key = f"0x{scalar:064x}"
    assert signer_of(text, signed(text, key)) == address_of(key)


def test_a_text_that_was_changed_is_nobodys():
    assert signer_of("pay 11", signed("pay 1")) != address_of(KEY)


@pytest.mark.parametrize("key", ["", "0x", "zz" * 32, "00" * 32, f"{ORDER:064x}", "1"])
def test_what_is_no_private_key_is_refused_without_being_repeated(key):
    with pytest.raises(ValueError, match="64 hex digits") as refusal:
        address_of(key)
    assert not key or key not in str(refusal.value)


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "0xzz",
        "00" * 65,
        "01" * 64,
        "01" * 64 + "1d",
        f"{ORDER:064x}" + "01" * 32 + "1b",
        "01" * 32 + f"{ORDER:064x}" + "1b",
        f"{5:064x}" + "01" * 32 + "1b",
    ],
)
def test_what_is_no_signature_has_no_signer(signature):
    assert signer_of("text", signature) is None


def test_a_recovery_id_may_count_from_zero():
    theirs = signed("text")
    low = theirs[:-2] + f"{int(theirs[-2:], 16) - 27:02x}"
    assert signer_of("text", "0x" + low) == address_of(KEY)


def test_signatures_whose_two_halves_meet_are_reckoned_right():
    # With the base point as the signature's own, s alone decides where they meet.
    base_x = 0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798
    text = b"\x19Ethereum Signed Message:\n4text"
    digest = int.from_bytes(keccak_256(text), "big") % ORDER
    double = -2 * digest * pow(base_x, -1, ORDER) % ORDER
    met = f"{base_x:064x}{ORDER - digest:064x}1b"
    assert signer_of("text", met) == address_of(f"{double:064x}")
    assert signer_of("text", f"{base_x:064x}{digest:064x}1b") is None
