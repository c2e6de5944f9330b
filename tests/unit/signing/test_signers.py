"""The three signers: what they share, and how each behaves on its own."""

from __future__ import annotations

import base64
import copy
import dataclasses
import pickle
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import wrappy.signing
from wrappy.errors import ConfigError, CredentialsError, SignerError
from wrappy.model import OrderType, TimeInForce
from wrappy.protocol.intents import (
    CancelAllOrders,
    CancelOrder,
    CreateGroupedOrders,
    CreateOrder,
    ModifyOrder,
    UpdateLeverage,
    UpdateMargin,
)
from wrappy.protocol.transactions import MAX_SKIPPING_NONCE, parse_tx_info
from wrappy.signing import NullSigner, PythonSigner, SdkSigner, sdk_library
from wrappy.signing.auth_token import parse_auth_token
from wrappy.signing.keys import derive_key_pair
from wrappy.signing.sdk import SharedLibrary
from wrappy.signing.transaction_hash import transaction_hash
from wrappy.signing.verify import verify_auth_token, verify_transaction

REPOSITORY = Path(__file__).resolve().parents[3]
PAIR = derive_key_pair(b"signer tests")
IDENTITY = {"account_index": 42, "api_key_index": 5, "chain_id": 304}
NOW_MS = 1_795_000_000_000
STOP = CreateOrder(
    0,
    8,
    0,
    200_000,
    is_ask=True,
    order_type=OrderType.STOP_LOSS,
    time_in_force=TimeInForce.IMMEDIATE_OR_CANCEL,
    reduce_only=True,
    trigger_price=210_000,
    order_expiry=-1,
)
PROFIT = dataclasses.replace(
    STOP, client_order_index=9, order_type=OrderType.TAKE_PROFIT
)
LIMIT = CreateOrder(0, 7, 100, 230_050, is_ask=False, order_expiry=-1)
MARKET = dataclasses.replace(
    LIMIT,
    order_type=OrderType.MARKET,
    time_in_force=TimeInForce.IMMEDIATE_OR_CANCEL,
    order_expiry=0,
)
INTENTS = [
    CreateOrder(0, 7, 100, 230_050, is_ask=False, order_expiry=-1),
    CreateOrder(
        1,
        0,
        100,
        2**32 - 1,
        is_ask=True,
        order_type=OrderType.MARKET,
        time_in_force=TimeInForce.IMMEDIATE_OR_CANCEL,
        reduce_only=True,
    ),
    CancelOrder(0, 2**48 + 1),
    ModifyOrder(0, 7, 200, 230_100),
    CancelAllOrders(),
    CancelAllOrders(market_index=1),
    CancelAllOrders(time_in_force=1, time_ms=NOW_MS),
    UpdateLeverage(0, 500, 1),
    CreateGroupedOrders(1, (LIMIT, STOP)),
    CreateGroupedOrders(3, (MARKET, STOP, PROFIT)),
    UpdateMargin(0, 2**33 + 1, 1),
]


def make_signer(kind):
    if kind == "null":
        return NullSigner(**IDENTITY)
    if kind == "python":
        return PythonSigner(PAIR.private_key, **IDENTITY)
    try:
        sdk_library.library_path()
    except SignerError as error:
        pytest.skip(str(error))
    return SdkSigner(PAIR.private_key, **IDENTITY)


@pytest.fixture(params=["sdk", "python", "null"])
def signer(request):
    return make_signer(request.param)


@pytest.fixture(params=["sdk", "python"])
def real_signer(request):
    return make_signer(request.param)


@pytest.fixture
def sdk_signer():
    return make_signer("sdk")


@pytest.mark.parametrize("intent", INTENTS)
def test_a_transaction_tells_its_own_facts(signer, intent):
    tx = signer.sign(intent, nonce=9)
    info = parse_tx_info(tx.tx_info)
    assert tx.tx_type is intent.tx_type
    assert tx.tx_hash == transaction_hash(tx.tx_type, info, 304)
    assert (tx.nonce, info["Nonce"]) == (9, 9)
    assert tx.expired_at_ms == info["ExpiredAt"] > time.time() * 1000
    assert (tx.account_index, tx.api_key_index) == (42, 5)


@pytest.mark.parametrize("intent", INTENTS)
def test_the_signers_lay_transactions_out_alike(signer, intent):
    theirs = make_signer("sdk").sign(intent, nonce=9).tx_info
    ours = signer.sign(intent, nonce=9).tx_info
    moving = ("Sig", "ExpiredAt", "OrderExpiry")
    left, right = parse_tx_info(theirs), parse_tx_info(ours)
    assert list(left) == list(right)
    assert ours.count(" ") == theirs.count(" ") == 0
    for info in (left, right):
        for fields in [info, *info.get("Orders", [])]:
            for field in moving:
                fields.pop(field, None)
    assert left == right


@pytest.mark.parametrize("intent", INTENTS)
def test_real_signatures_verify(real_signer, intent):
    tx = real_signer.sign(intent, nonce=0)
    info = parse_tx_info(tx.tx_info)
    assert verify_transaction(tx.tx_type, info, 304, PAIR.public_key)


def test_many_intents_take_consecutive_nonces(signer):
    signed = signer.sign_many(INTENTS, first_nonce=100)
    assert [tx.nonce for tx in signed] == list(range(100, 100 + len(INTENTS)))


@pytest.mark.parametrize(
    ("intent", "attributes"),
    [
        (CancelOrder(0, 1), {"4": 1}),
        (CancelAllOrders(market_index=3), {"4": 1, "5": 3}),
        (CreateGroupedOrders(1, (LIMIT, STOP)), {"4": 1}),
    ],
)
def test_a_transaction_may_be_allowed_to_skip_nonces(signer, intent, attributes):
    first, second = signer.sign_many([intent] * 2, first_nonce=40, skip_nonce=True)
    assert (first.nonce, second.nonce) == (40, 41)
    info = parse_tx_info(second.tx_info)
    assert info["L2TxAttributes"] == attributes
    plain = signer.sign(intent, nonce=41)
    assert parse_tx_info(plain.tx_info)["L2TxAttributes"] != attributes
    last = signer.sign(intent, nonce=MAX_SKIPPING_NONCE, skip_nonce=True)
    assert last.tx_hash == transaction_hash(
        last.tx_type, parse_tx_info(last.tx_info), 304
    )


def test_a_skipping_nonce_has_a_bound_of_its_own(signer):
    with pytest.raises(SignerError, match="nonce"):
        signer.sign(CancelOrder(0, 1), nonce=MAX_SKIPPING_NONCE + 1, skip_nonce=True)
    assert signer.sign(CancelOrder(0, 1), nonce=MAX_SKIPPING_NONCE + 1)


@pytest.mark.parametrize("kind", ["python", "null"])
def test_other_threads_run_in_the_middle_of_many_signatures(kind):
    signer = make_signer(kind)
    if kind == "python":
        signer.prepare(40)  # so that asking for randomness is no pause either
    turns, done = [], threading.Event()

    def take_turns():
        while not done.is_set():
            turns.append(None)
            time.sleep(0)

    other, interval = threading.Thread(target=take_turns), sys.getswitchinterval()
    other.start()
    sys.setswitchinterval(60)  # nobody gets the interpreter unless it is given up
    try:
        before = len(turns)
        signer.sign_many([CancelOrder(0, 1)] * 40, first_nonce=0)
        after = len(turns)
    finally:
        sys.setswitchinterval(interval)
        done.set()
        other.join(30)
    assert after > before


def test_a_burst_signs_with_points_of_its_own_when_none_is_kept():
    signer = PythonSigner(PAIR.private_key, **IDENTITY, point_capacity=0)
    for tx in signer.sign_many([CancelOrder(0, 1)] * 2, first_nonce=0):
        info = parse_tx_info(tx.tx_info)
        assert verify_transaction(tx.tx_type, info, 304, PAIR.public_key)


def test_signers_tell_whose_they_are(real_signer):
    assert real_signer.account_index == 42
    assert real_signer.api_key_index == 5
    assert real_signer.chain_id == 304
    assert real_signer.public_key == PAIR.public_key


def test_real_tokens_verify(real_signer):
    token = parse_auth_token(real_signer.auth_token(deadline_s=1_800_000_000))
    assert token.deadline_s == 1_800_000_000
    assert verify_auth_token(token, PAIR.public_key)


def test_a_null_signer_leaves_zeros_where_signatures_go():
    signer = make_signer("null")
    info = parse_tx_info(signer.sign(CancelOrder(0, 1), nonce=0).tx_info)
    assert base64.b64decode(info["Sig"]) == bytes(80)
    assert parse_auth_token(signer.auth_token(deadline_s=5)).signature == bytes(80)
    assert (signer.chain_id, signer.public_key) == (304, "0" * 80)


@pytest.mark.parametrize(
    ("intent", "field"),
    [
        (CreateOrder(0, 1, 1, 0, is_ask=True), "price"),
        (CreateOrder(0, 1, 1, -1, is_ask=True), "price"),
        (CreateOrder(0, 1, 1, 2**32, is_ask=True), "price"),
        (CreateOrder(0, 1, 1, 2**32 + 5, is_ask=True), "price"),
        (CreateOrder(0, 1, 1, 1.0, is_ask=True), "price"),
        (CreateOrder(0, 1, 1, True, is_ask=True), "price"),
        (CreateOrder(0, 1, 1, 1, is_ask=2), "is_ask"),
        (CreateOrder(0, 1, 1, 1, is_ask=True, order_type=2**32), "order_type"),
        (CreateOrder(0, 1, 1, 1, is_ask=True, time_in_force=3), "time_in_force"),
        (CreateOrder(0, 1, 1, 1, is_ask=True, trigger_price=2**32), "trigger_price"),
        (CreateOrder(0, 1, 1, 1, is_ask=True, order_expiry=-2), "order_expiry"),
        (CreateOrder(0, 2**48, 1, 1, is_ask=True), "client_order_index"),
        (CreateOrder(0, 1, 2**48, 1, is_ask=True), "base_amount"),
        (CreateOrder(70_000, 1, 1, 1, is_ask=True), "market_index"),
        (CreateOrder(None, 1, 1, 1, is_ask=True), "market_index"),
        (CancelOrder(0, 0), "index"),
        (CancelOrder(0, 2**60), "index"),
        (CancelOrder(255, 1), "market_index"),
        (CancelAllOrders(market_index=255), "market_index"),
        (CancelAllOrders(time_ms=-1), "time_ms"),
        (CancelAllOrders(time_ms=None), "time_ms"),
        (UpdateLeverage(0, 2**32 + 500, 0), "initial_margin_fraction"),
        (UpdateLeverage(0, 500, 2), "margin_mode"),
        (UpdateMargin(0, 0, 1), "usdc_amount"),
        (UpdateMargin(0, 2**60, 1), "usdc_amount"),
        (UpdateMargin(0, 1, 2), "direction"),
        (UpdateMargin(255, 1, 1), "market_index"),
        (CreateGroupedOrders(0, (LIMIT, STOP)), "grouping_type"),
        (CreateGroupedOrders(4, (LIMIT, STOP)), "grouping_type"),
        (CreateGroupedOrders(1.0, (LIMIT, STOP)), "grouping_type"),
        (CreateGroupedOrders(1, (LIMIT,)), "orders"),
        (CreateGroupedOrders(1, (LIMIT, STOP, PROFIT)), "orders"),
        (CreateGroupedOrders(3, (LIMIT, STOP)), "orders"),
        (CreateGroupedOrders(1, [LIMIT, STOP]), "orders"),
        (CreateGroupedOrders(1, (LIMIT, CancelOrder(0, 8))), "orders"),
        (
            CreateGroupedOrders(1, (LIMIT, dataclasses.replace(STOP, price=-1))),
            r"orders\[1\]\.price",
        ),
        (
            CreateGroupedOrders(
                1, (dataclasses.replace(LIMIT, market_index=255), STOP)
            ),
            r"orders\[0\]\.market_index",
        ),
    ],
)
def test_a_number_that_would_not_arrive_unchanged_is_refused(signer, intent, field):
    with pytest.raises(SignerError, match=rf"^{field}\b"):
        signer.sign(intent, nonce=0)


@pytest.mark.parametrize("nonce", [-1, -2, 2**48, 1.0, True])
def test_a_nonce_out_of_range_is_refused(signer, nonce):
    with pytest.raises(SignerError, match="nonce"):
        signer.sign(CancelOrder(0, 1), nonce=nonce)


@pytest.mark.parametrize("deadline", [0, -1, 1.5])
def test_a_deadline_that_is_no_time_is_refused(signer, deadline):
    with pytest.raises(SignerError, match="deadline_s"):
        signer.auth_token(deadline_s=deadline)


@pytest.mark.parametrize("kind", [SdkSigner, PythonSigner])
def test_a_real_signer_hides_its_key(kind):
    signer = kind(PAIR.private_key, **IDENTITY)
    expected = f"{kind.__name__}(account_index=42, api_key_index=5, chain_id=304)"
    assert repr(signer) == str(signer) == expected
    for carry in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="private key"):
            carry(signer)


@pytest.mark.parametrize("kind", [SdkSigner, PythonSigner])
def test_a_bad_key_is_refused_at_construction(kind):
    with pytest.raises(CredentialsError, match="api_key_private_key"):
        kind("12", **IDENTITY)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("account_index", 0),
        ("account_index", 2**48 - 1),
        ("api_key_index", -1),
        ("api_key_index", 255),
        ("chain_id", 0),
        ("chain_id", 2**31),
        ("chain_id", True),
    ],
)
def test_an_identity_out_of_range_is_refused_at_construction(field, value):
    identity = {**IDENTITY, field: value}
    with pytest.raises(ConfigError, match=field):
        NullSigner(**identity)
    with pytest.raises(ConfigError, match=field):
        PythonSigner(PAIR.private_key, **identity)
    with pytest.raises(ConfigError, match=field):
        SdkSigner(PAIR.private_key, **identity)


def test_a_python_signer_follows_its_clock_and_lifetime():
    signer = PythonSigner(
        PAIR.private_key, **IDENTITY, lifetime_ms=5_000, clock_ms=lambda: NOW_MS
    )
    tx = signer.sign(INTENTS[0], nonce=0)
    assert tx.expired_at_ms == NOW_MS + 5_000
    expiry = parse_tx_info(tx.tx_info)["OrderExpiry"]
    assert expiry == NOW_MS + 28 * 24 * 3600 * 1000


@pytest.mark.parametrize(
    ("intent", "lifetime_ms"),
    [
        (MARKET, 700),
        (dataclasses.replace(MARKET, order_type=OrderType.LIMIT), 700),
        (CreateGroupedOrders(1, (MARKET, STOP)), 700),
        (CreateGroupedOrders(1, (LIMIT, STOP)), 5_000),
        (LIMIT, 5_000),
        (STOP, 5_000),
        (CancelOrder(0, 1), 5_000),
    ],
)
def test_what_trades_at_once_may_have_a_lifetime_of_its_own(intent, lifetime_ms):
    keywords = {"lifetime_ms": 5_000, "clock_ms": lambda: NOW_MS, **IDENTITY}
    for taker_lifetime_ms, expected in ((700, lifetime_ms), (None, 5_000)):
        for made in (
            PythonSigner(
                PAIR.private_key, taker_lifetime_ms=taker_lifetime_ms, **keywords
            ),
            NullSigner(taker_lifetime_ms=taker_lifetime_ms, **keywords),
        ):
            assert made.sign(intent, nonce=0).expired_at_ms == NOW_MS + expected


def test_a_bare_signer_lets_a_transaction_wait_as_long_as_the_official_one():
    signer = PythonSigner(PAIR.private_key, **IDENTITY, clock_ms=lambda: NOW_MS)
    assert signer.sign(MARKET, nonce=0).expired_at_ms == NOW_MS + 599_000


@pytest.mark.parametrize("value", [0, -1, 86_400_001, 1.5, True])
@pytest.mark.parametrize("field", ["lifetime_ms", "taker_lifetime_ms"])
def test_a_lifetime_out_of_range_is_refused_at_construction(field, value):
    with pytest.raises(ConfigError, match=rf"^{field}\b"):
        NullSigner(**IDENTITY, **{field: value})
    with pytest.raises(ConfigError, match=rf"^{field}\b"):
        PythonSigner(PAIR.private_key, **IDENTITY, **{field: value})


def test_a_prepared_signer_spends_a_point_for_each_signature_and_goes_on_without():
    signer = PythonSigner(PAIR.private_key, **IDENTITY, point_capacity=3)
    assert (signer.prepare(2), signer.prepare(5), signer.prepare(1)) == (2, 1, 0)
    left = []
    for nonce in range(4):
        tx = signer.sign(CancelOrder(0, 1), nonce=nonce)
        info = parse_tx_info(tx.tx_info)
        assert verify_transaction(tx.tx_type, info, 304, PAIR.public_key)
        left.append(signer.prepared)
    assert left == [2, 1, 0, 0]
    signer.prepare(1)
    token = parse_auth_token(signer.auth_token(deadline_s=9))
    assert verify_auth_token(token, PAIR.public_key)


def test_the_official_library_refuses_in_its_own_words(sdk_signer):
    order = CreateOrder(0, 1, 1, 1, is_ask=True, order_expiry=0)
    with pytest.raises(SignerError, match="OrderExpiry is invalid") as caught:
        sdk_signer.sign(order, nonce=0)
    assert PAIR.private_key not in str(caught.value)


def test_signers_of_one_slot_with_other_keys_or_chains_do_not_mix(sdk_signer):
    other_pair = derive_key_pair(b"another exchange")
    others = [
        (sdk_signer, PAIR, 304),
        (SdkSigner(other_pair.private_key, **IDENTITY), other_pair, 304),
        (SdkSigner(PAIR.private_key, **{**IDENTITY, "chain_id": 300}), PAIR, 300),
    ]
    for _ in range(2):
        for signer, pair, chain_id in others:
            tx = signer.sign(CancelOrder(0, 1), nonce=0)
            info = parse_tx_info(tx.tx_info)
            assert verify_transaction(tx.tx_type, info, chain_id, pair.public_key)
            token = parse_auth_token(signer.auth_token(deadline_s=9))
            assert verify_auth_token(token, pair.public_key)


def of_account(account_index):
    """Return a signer whose slot in the library no other test uses."""
    make_signer("sdk")
    identity = {**IDENTITY, "account_index": account_index}
    return SdkSigner(PAIR.private_key, **identity)


def test_a_library_that_was_loaded_before_a_fork_is_refused_after_it():
    shared, signer = SharedLibrary(), of_account(4_301)
    shared.after_fork()  # nothing was loaded yet: the child may load it
    assert shared.auth_token(signer, 9)
    shared.after_fork()
    shared.after_fork()  # and so for a grandchild
    with pytest.raises(SignerError, match="fork"):
        shared.auth_token(signer, 9)


def test_other_code_that_uses_the_library_cannot_change_our_key():
    signer = of_account(4_303)
    signer.sign(CancelOrder(0, 7), nonce=1)
    stranger = derive_key_pair(b"another program's key")
    sdk_library.OfficialLibrary(sdk_library.library_path()).register(
        stranger.private_key,
        chain_id=300,
        api_key_index=signer.api_key_index,
        account_index=signer.account_index,
    )
    signed = signer.sign(CancelOrder(0, 7), nonce=2)
    assert verify_transaction(
        signed.tx_type,
        parse_tx_info(signed.tx_info),
        signer.chain_id,
        signer.public_key,
    )


def test_a_library_that_refuses_a_key_is_told_again():
    class Refusing:
        api_key_index, account_index = 5, 4_302
        calls = 0

        def register_with(self, library):
            self.calls += 1
            library.register("", chain_id=304, api_key_index=5, account_index=4_302)

    shared, refusing = SharedLibrary(), Refusing()
    for _ in range(2):
        with pytest.raises(SignerError, match="empty private key"):
            shared.auth_token(refusing, 9)
    assert refusing.calls == 2
    assert shared.auth_token(of_account(4_302), 9)


@pytest.mark.parametrize(
    ("system", "machine", "name"),
    [
        ("Linux", "x86_64", "lighter-signer-linux-amd64.so"),
        ("Linux", "aarch64", "lighter-signer-linux-arm64.so"),
        ("Darwin", "arm64", "lighter-signer-darwin-arm64.dylib"),
        ("Darwin", "x86_64", "lighter-signer-darwin-amd64.dylib"),
        ("Windows", "AMD64", "lighter-signer-windows-amd64.dll"),
    ],
)
def test_the_platform_chooses_the_library(
    monkeypatch, sdk_signer, system, machine, name
):
    monkeypatch.setattr("platform.system", lambda: system)
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert sdk_library.library_path().name == name


def test_an_unknown_platform_is_named_with_a_way_out(monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(SignerError, match=r"riscv64.*PythonSigner"):
        sdk_library.library_path()


class OtherPackage:
    """A spec of some other package named lighter."""

    submodule_search_locations = ("/nowhere",)


class OtherModule:
    """A spec of some other single-file module named lighter."""

    submodule_search_locations = None


@pytest.mark.parametrize("spec", [None, OtherPackage, OtherModule])
def test_a_missing_library_is_named_with_the_fix(monkeypatch, spec):
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: spec)
    with pytest.raises(SignerError, match="pip install lighter-sdk"):
        sdk_library.library_path()


def test_a_file_that_is_no_library_is_refused(tmp_path):
    path = tmp_path / "library.so"
    path.write_bytes(b"not a library")
    with pytest.raises(SignerError, match="cannot be loaded"):
        sdk_library.OfficialLibrary(path)


def run_script(text):
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", text],
        cwd=REPOSITORY,
        env={"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_signing_with_the_library_does_not_import_its_package(sdk_signer):
    done = run_script(f"""
import sys
from wrappy.signing import SdkSigner
key = {PAIR.private_key!r}
signer = SdkSigner(key, account_index=42, api_key_index=5, chain_id=304)
assert signer.auth_token(deadline_s=9)
assert not [name for name in sys.modules if name.split(".")[0] == "lighter"]
""")
    assert (done.returncode, done.stderr) == (0, "")


def test_importing_the_package_loads_no_signer():
    done = run_script("""
import sys
import wrappy.signing
loaded = [name for name in sys.modules if name.startswith("wrappy.signing.")]
assert not loaded, loaded
assert "asyncio" not in sys.modules and "ctypes" not in sys.modules
""")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_a_forked_child_is_refused_at_once_instead_of_hanging(sdk_signer):
    done = run_script(f"""
import os, signal
from wrappy.errors import SignerError
from wrappy.signing import SdkSigner
key = {PAIR.private_key!r}
signer = SdkSigner(key, account_index=42, api_key_index=5, chain_id=304)
signer.auth_token(deadline_s=9)
child = os.fork()
if child == 0:
    signal.alarm(20)
    try:
        signer.auth_token(deadline_s=9)
    except SignerError as error:
        os._exit(0 if "fork" in str(error) else 1)
    os._exit(2)
assert os.waitpid(child, 0)[1] == 0
assert signer.auth_token(deadline_s=9)
""")
    assert (done.returncode, done.stderr) == (0, "")


def test_every_export_exists():
    for name in wrappy.signing.__all__:
        assert getattr(wrappy.signing, name).__name__ == name


def test_an_unknown_export_is_refused():
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = wrappy.signing.no_such_name


@pytest.mark.parametrize("group", [CreateGroupedOrders(1, (LIMIT, STOP)), INTENTS[9]])
def test_orders_of_a_group_end_together_28_days_from_now(signer, group):
    for nonce in range(30):
        before_ms = int(time.time() * 1000)
        tx = signer.sign(group, nonce=nonce)
        ends = {
            order["OrderExpiry"] for order in parse_tx_info(tx.tx_info)["Orders"]
        } - {0}
        (end_ms,) = ends
        after_ms = int(time.time() * 1000)
        assert before_ms <= end_ms - 28 * 86_400_000 <= after_ms
