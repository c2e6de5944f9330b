"""Hashes and signatures against published vectors and the official signer.

The vectors stay in the folder `shared` beside the checkout; without it their tests
are skipped. The live oracle is the official library itself.
"""

from __future__ import annotations

import ctypes
import json
from pathlib import Path

import pytest

from wrappy.errors import SignerError
from wrappy.protocol.transactions import parse_tx_info
from wrappy.signing import schnorr
from wrappy.signing.auth_token import parse_auth_token
from wrappy.signing.curve import decode, encode, limbs_from_bytes
from wrappy.signing.keys import derive_key_pair
from wrappy.signing.poseidon2 import (
    FIELD_ORDER,
    hash_to_quartet,
    hash_to_quintic,
    permute,
    sponge,
)
from wrappy.signing.sdk_library import OfficialLibrary, library_path
from wrappy.signing.transaction_hash import transaction_hash
from wrappy.signing.verify import (
    verify_auth_token,
    verify_transaction,
    verify_transaction_hash,
)

FOLDER = Path(__file__).resolve().parents[2] / "../shared/signing"


def vectors(name):
    path = FOLDER / name
    if not path.is_file():
        pytest.skip(f"reference vectors are absent: {path}")
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def hash_vectors():
    return vectors("signing_hash_poseidon2_vectors.json")["vectors"]


@pytest.fixture(scope="module")
def schnorr_vectors():
    return vectors("signing_schnorr_vectors.json")["vectors"]


@pytest.fixture(scope="module")
def official_vectors():
    return vectors("vectors_official_signer.json")


def limbs(digits):
    return limbs_from_bytes(bytes.fromhex(digits))


def scalar(digits):
    return int.from_bytes(bytes.fromhex(digits), "little")


def test_permutations_are_the_published_ones(hash_vectors):
    for vector in hash_vectors["permute"]:
        assert permute(limbs(vector["input"])) == [
            limb % FIELD_ORDER for limb in limbs(vector["output"])
        ]


def test_sponges_are_the_published_ones(hash_vectors):
    for vector in hash_vectors["sponge"]:
        digest = sponge(limbs(vector["input"]), vector["num_outputs"])
        assert digest == limbs(vector["output"])


def test_message_hashes_are_the_published_ones(hash_vectors):
    for vector in hash_vectors["hash_to_quintic"]:
        assert hash_to_quintic(limbs(vector["input"])) == limbs(vector["output"])


def test_chained_hashes_are_the_published_ones(hash_vectors):
    for vector in hash_vectors["hash_n_to_one"]:
        chained, *others = map(limbs, vector["inputs"])
        for other in others:
            chained = hash_to_quartet(chained + other)
        assert chained == limbs(vector["output"])


def test_public_keys_are_the_published_ones(schnorr_vectors):
    for vector in schnorr_vectors["keygen"]:
        public_key = schnorr.public_key(scalar(vector["sk"]))
        assert public_key.hex() == vector["pk"]
        assert encode(decode(public_key)) == public_key


def test_signatures_with_a_given_nonce_are_the_published_ones(schnorr_vectors):
    for vector in schnorr_vectors["sign"]:
        secret, message = scalar(vector["sk"]), limbs(vector["hashed_msg"])
        signature = schnorr.sign_with_nonce(secret, message, scalar(vector["k"]))
        assert signature.hex() == vector["sig"]
        assert schnorr.verify(schnorr.public_key(secret), message, signature)


def test_every_vector_of_the_schnorr_file_is_used(schnorr_vectors):
    assert set(schnorr_vectors) == {"keygen", "sign"}


def test_every_vector_of_the_hash_file_is_used(hash_vectors):
    assert set(hash_vectors) == {
        "permute",
        "sponge",
        "hash_to_quintic",
        "hash_n_to_one",
    }


def test_official_transactions_have_our_hash_and_verify(official_vectors):
    transactions = [vector for vector in official_vectors if "tx_info" in vector]
    assert len(transactions) >= 22
    for vector in transactions:
        info = parse_tx_info(vector["tx_info"])
        call = (vector["tx_type"], info, vector["chain_id"])
        assert transaction_hash(*call) == vector["tx_hash"], vector["kind"]
        assert verify_transaction(*call, vector["public_key"]), vector["kind"]


def test_official_transactions_with_a_bit_turned_in_the_signature_fail(
    official_vectors,
):
    for vector in official_vectors:
        if "tx_info" not in vector:
            continue
        text = parse_tx_info(vector["tx_info"])["Sig"]
        turned = ("A" if text[0] != "A" else "B") + text[1:]
        assert not verify_transaction_hash(
            vector["tx_hash"], turned, vector["public_key"]
        )


def test_official_tokens_verify(official_vectors):
    tokens = [vector for vector in official_vectors if "token" in vector]
    assert tokens
    for vector in tokens:
        token = parse_auth_token(vector["token"])
        assert verify_auth_token(token, vector["public_key"])


PAIR = derive_key_pair(b"live oracle")
KEY = (11, 5, 777)  # nonce, API key index, account index


class Answer(ctypes.Structure):
    _fields_ = (
        ("tx_type", ctypes.c_uint8),
        ("tx_info", ctypes.c_char_p),
        ("tx_hash", ctypes.c_char_p),
        ("message", ctypes.c_char_p),
        ("error", ctypes.c_char_p),
    )


@pytest.fixture(scope="module")
def oracle():
    try:
        path = library_path()
    except SignerError as error:
        pytest.skip(str(error))
    OfficialLibrary(path).register(
        PAIR.private_key, chain_id=300, api_key_index=KEY[1], account_index=KEY[2]
    )
    return ctypes.CDLL(str(path))


LONG, INT, BYTE = ctypes.c_longlong, ctypes.c_int, ctypes.c_uint8
PUBLIC_KEY = b"0x" + PAIR.public_key.encode()
FEES = (ctypes.c_uint32,) * 4


@pytest.mark.parametrize("skip_nonce", [0, 1])
@pytest.mark.parametrize(
    ("function", "types", "values"),
    [
        ("SignChangePubKey", (ctypes.c_char_p,), (PUBLIC_KEY,)),
        ("SignCreateSubAccount", (), ()),
        ("SignWithdraw", (INT, INT, ctypes.c_ulonglong), (3, 0, 2**40 + 7)),
        ("SignUpdateMargin", (LONG, LONG, INT), (0, 2**33 + 1, 1)),
        ("SignUpdateAccountConfig", (BYTE,), (1,)),
        ("SignUpdateAccountAssetConfig", (ctypes.c_int16, BYTE), (3, 1)),
        (
            "SignApproveIntegrator",
            (LONG, *FEES, LONG),
            (77, 1, 2, 3, 4, 1_900_000_000_000),
        ),
        (
            "SignTransfer",
            (LONG, ctypes.c_int16, BYTE, BYTE, LONG, LONG, ctypes.c_char_p),
            (778, 3, 0, 0, 2**35, 2**34, b"m" * 32),
        ),
        ("SignCancelOrder", (LONG, LONG), (2048, 2**60 - 1)),
        ("SignCancelAllOrders", (INT, LONG, LONG), (0, 0, 254)),
    ],
)
def test_what_the_library_signs_now_has_our_hash_and_verifies(
    oracle, function, types, values, skip_nonce
):
    call = oracle[function]
    call.argtypes = (*types, BYTE, LONG, INT, LONG)
    call.restype = Answer
    answer = call(*values, skip_nonce, *KEY)
    assert answer.error is None
    info = parse_tx_info(answer.tx_info.decode())
    assert transaction_hash(answer.tx_type, info, 300) == answer.tx_hash.decode()
    assert verify_transaction(answer.tx_type, info, 300, PAIR.public_key)
