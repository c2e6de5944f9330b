"""Settings: what is refused and how, and which source wins."""

from __future__ import annotations

import dataclasses
import json
import traceback

import pytest

from wrappy._core.scaling import PriceRounding
from wrappy.errors import ConfigError, CredentialsError
from wrappy.lighter.config import (
    ENVIRONMENT,
    ApiKeyConfig,
    DealerConfig,
    check_base_url,
    complete,
    complete_address,
    load_config,
    read_environment,
    read_file,
    ws_url_for,
)

URL = "http://127.0.0.1:8080"
MAINNET = "https://mainnet.zklighter.elliot.ai"
KEY = "ab12" * 20
OTHER_KEY = "cd34" * 20
ROW = {"api_key_index": 5, "api_key_private_key": KEY}
TOKEN = f"ro:7:single:1900000000:{KEY}"
TEMPLATE = {"api_key_index": 2, "api_key_private_key": "YOUR_L2_API_KEY"}


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch, tmp_path):
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def environment(monkeypatch):
    """Set a complete environment: account 9, key 6."""
    values = {
        "LIGHTER_BASE_URL": "http://127.0.0.1:9999",
        "LIGHTER_ACCOUNT_INDEX": "9",
        "LIGHTER_API_KEY_INDEX": "6",
        "LIGHTER_API_KEY": OTHER_KEY,
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return values


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a config file of mode 600."""

    def write(document, mode=0o600):
        path = tmp_path / "config.json"
        text = document if isinstance(document, str) else json.dumps(document)
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)
        return path

    return write


FILE = {"base_url": URL, "account_index": 7, "api_keys": [ROW]}


def everything_told(error):
    return "".join(traceback.format_exception(type(error), error, error.__traceback__))


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("base_url", "127.0.0.1:8080", r"'127.0.0.1:8080' is no address"),
        ("base_url", "ftp://host", "is no address"),
        ("base_url", "http://", "is no address"),
        ("base_url", "http://[::1", "is no address"),
        ("base_url", "http://host:99999", "is no address"),
        ("base_url", "http://host:0", "is no address"),
        ("base_url", "http://me:secret@host", "leave out what stands before the @"),
        ("base_url", 5, "a int is not text"),
        ("account_index", 0, r"0 is outside 1\.\."),
        ("account_index", True, "True is not a whole number"),
        ("account_index", "7", "'7' is not a whole number"),
        ("account_index", 7.0, "7.0 is not a whole number"),
        ("market_index", -1, r"-1 is outside 0\.\."),
        ("symbol", 0, "a int is not text"),
        ("state_dir", 7, "a int is not text"),
        ("budget_redis_url", "localhost:6379", "give redis://HOST:PORT/NUMBER"),
        ("price_scale", 0, "0 is outside"),
        ("size_scale", "100", "is not a whole number"),
        ("max_ws_batch", 51, r"51 is outside 1\.\.50"),
        ("max_ws_batch", None, "None is not a whole number"),
        ("slippage_bps", None, "None is not a whole number"),
        ("slippage_bps", -1, "-1 is outside"),
        ("ip_weight_per_minute", 0, "0 is outside"),
        ("order_lifetime_s", 299, r"299 is outside 300\.\."),
        ("chain_id", 0, "0 is outside"),
        ("use_websocket", 1, "1 is not true or false"),
        ("standard_account", "no", "'no' is not true or false"),
        ("prefer_high_level", None, "None is not true or false"),
        ("jitter_ms", 5, r"5 is not a pair \(low, high\)"),
        ("jitter_ms", (1, 2, 3), "is not a pair"),
        ("jitter_ms", (5, 1), "is not a pair"),
        ("jitter_ms", [True, 5], "is not a pair"),
        ("jitter_ms", (0.0, 5), "is not a pair"),
        ("price_rounding", "up", "'up' is none of nearest, passive, refuse"),
        ("price_rounding", None, "None is none of nearest, passive, refuse"),
        ("price_rounding", 5, "5 is none of"),
        ("request_timeout_s", float("nan"), "nan is outside"),
        ("request_timeout_s", float("inf"), "inf is outside"),
        ("request_timeout_s", 0, "0 is outside"),
        ("request_timeout_s", True, "True is not a number"),
        ("request_timeout_s", "10", "'10' is not a number"),
    ],
)
def test_a_setting_that_cannot_work_is_named(field, value, words):
    with pytest.raises(ConfigError, match=f"^{field}: .*{words}"):
        DealerConfig(**{field: value})


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (None, "api_keys: give a list"),
        (KEY, "api_keys: give a list"),
        (7, "api_keys: give a list"),
        ([{"api_key_index": 5}], "each entry needs"),
        (ROW, "each entry needs"),
        ([7], "each entry needs"),
        ([ROW, ROW], "stands there twice"),
        ([{**ROW, "api_key_index": 3}], "api_key_index: 3 is reserved.*from 4 to 254"),
        ([{**ROW, "api_key_index": 0}], "api_key_index: 0 is reserved"),
        ([{**ROW, "api_key_index": 255}], "api_key_index: 255 is outside"),
        ([{**ROW, "api_key_index": -1}], "api_key_index: -1 is outside"),
        ([{**ROW, "api_key_index": "5"}], "api_key_index: '5' is not a whole"),
        ([{**ROW, "api_key_index": True}], "api_key_index: True is not a whole"),
        ([{**ROW, "api_key_private_key": "ab"}], "api_key_private_key must be 80 hex"),
        ([{**ROW, "api_key_private_key": "zz" * 40}], "must be 80 hex"),
        ([{**ROW, "api_key_private_key": 5}], "api_key_private_key: a int is not text"),
        ([{**ROW, "api_key_private_key": None}], "a NoneType is not text"),
    ],
)
def test_a_key_that_cannot_work_is_named(keys, words):
    with pytest.raises(CredentialsError, match=words):
        DealerConfig(api_keys=keys)


def test_keys_come_as_dicts_or_ready_made_and_templates_count_as_absent():
    made = ApiKeyConfig(5, "0x" + KEY)
    assert DealerConfig(api_keys=(made,)).api_keys == (made,)
    assert DealerConfig(api_keys=[ROW, TEMPLATE]).api_keys == (ApiKeyConfig(5, KEY),)
    assert DealerConfig(api_keys=[TEMPLATE]).api_keys == ()


def test_friendly_spellings_are_accepted():
    config = DealerConfig(jitter_ms=[1, 5], price_rounding="Passive")
    assert config.jitter_ms == (1, 5)
    assert config.price_rounding is PriceRounding.PASSIVE


def test_settings_do_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        DealerConfig().symbol = "ETH"


def test_keys_are_never_shown():
    config = DealerConfig(l1_private_key=OTHER_KEY, api_keys=[ROW])
    for text in (repr(config), str(config), repr(config.api_keys[0])):
        assert KEY not in text
        assert OTHER_KEY not in text


@pytest.mark.parametrize(
    "settings",
    [
        {"api_keys": [{"api_key_index": KEY, "api_key_private_key": KEY}]},
        {"api_keys": [{"api_key_index": 5, "api_key_private_key": KEY + "0"}]},
        {"api_keys": [{"api_key_index": 5, "api_key_private_key": KEY.encode()}]},
        {"api_keys": [{"api_key_index": 0, "api_key_private_key": KEY}]},
        {"account_index": KEY},
        {"base_url": KEY},
        {"symbol": KEY.encode()},
        {"price_rounding": KEY},
        {"use_websocket": KEY},
        {"jitter_ms": KEY},
        {"request_timeout_s": KEY},
    ],
)
def test_a_key_in_a_wrong_place_is_not_repeated(settings):
    with pytest.raises(ConfigError) as caught:
        DealerConfig(**settings)
    assert KEY.upper() not in everything_told(caught.value).upper()


def test_a_key_in_a_wrong_variable_is_not_repeated():
    with pytest.raises(ConfigError, match="LIGHTER_API_KEY_INDEX: a text of 80") as e:
        read_environment({"LIGHTER_API_KEY_INDEX": KEY})
    assert KEY not in everything_told(e.value)


def test_a_known_host_has_its_chain():
    with pytest.raises(ConfigError, match=r"chain_id: 300 is not the chain.*304"):
        DealerConfig(base_url=MAINNET, chain_id=300)
    assert DealerConfig(base_url=MAINNET, chain_id=304).chain_id == 304
    assert DealerConfig(base_url=URL, chain_id=300).chain_id == 300
    assert complete_address(DealerConfig(base_url=URL)).chain_id == 304


def test_the_streams_address_follows_from_the_base_url():
    assert ws_url_for(URL + "/") == "ws://127.0.0.1:8080/stream"
    assert ws_url_for(MAINNET) == "wss://mainnet.zklighter.elliot.ai/stream"
    assert check_base_url(URL + "/") == URL


def test_what_is_missing_is_named_with_the_ways_to_give_it():
    with pytest.raises(ConfigError, match=r"base_url: not given.*LIGHTER_BASE_URL"):
        complete(DealerConfig())
    with pytest.raises(ConfigError, match=r"account_index: not.*LIGHTER_ACCOUNT_INDEX"):
        complete(DealerConfig(base_url=URL))
    with pytest.raises(
        CredentialsError, match=r"api_keys: no API key.*LIGHTER_API_KEY"
    ):
        complete(DealerConfig(base_url=URL, account_index=7))


def test_a_config_is_completed_from_the_environment(environment):
    full = complete(DealerConfig(account_index=7))
    assert (full.base_url, full.account_index) == ("http://127.0.0.1:9999", 7)
    assert full.api_keys == (ApiKeyConfig(6, OTHER_KEY),)
    assert complete_address(DealerConfig()).base_url == "http://127.0.0.1:9999"


def test_a_key_without_its_index_is_refused(monkeypatch):
    monkeypatch.setenv("LIGHTER_API_KEY", KEY)
    with pytest.raises(CredentialsError, match="api_key_index: missing"):
        load_config(None, {"base_url": URL, "account_index": 7})


@pytest.mark.parametrize("name", ["LIGHTER_ACCOUNT_INDEX", "LIGHTER_CHAIN_ID"])
def test_a_variable_that_is_no_number_is_named(name):
    with pytest.raises(ConfigError, match=f"{name}: 'x' is not a whole number"):
        read_environment({name: "x"})


def test_an_empty_variable_counts_as_absent():
    assert read_environment({"LIGHTER_ACCOUNT_INDEX": ""}) == {}
    assert read_environment({"LIGHTER_STATE_DIR": "/s"}) == {"state_dir": "/s"}


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_file_is_read_with_or_without_its_section(write, wrapped):
    path = write({"Lighter": FILE, "other": 1} if wrapped else FILE)
    config = load_config(path)
    assert (config.base_url, config.account_index) == (URL, 7)
    assert config.api_keys == (ApiKeyConfig(5, KEY),)
    assert config.chain_id == 304


def test_a_null_in_a_file_counts_as_absent(write):
    nulls = {"max_ws_batch": None, "price_rounding": None, "use_websocket": None}
    assert load_config(write({**FILE, **nulls})).max_ws_batch == 15


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("{", "is not JSON"),
        ("[]", "must be an object"),
        ('{"Lighter": 5}', "must be an object"),
        ({**FILE, "simbol": "ETH"}, "simbol: no such setting"),
        ({**FILE, "max_ws_batch": True}, "max_ws_batch: True is not a whole number"),
        ({**FILE, "api_keys": {"5": KEY}}, "each entry needs"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(write, document, words):
    with pytest.raises(ConfigError, match=words) as caught:
        load_config(write(document))
    assert KEY not in str(caught.value)


def test_a_file_that_is_no_text_or_no_file_says_so(write, tmp_path):
    path = write("")
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"config\.json: cannot be read"):
        read_file(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path)


@pytest.mark.parametrize(
    "document",
    [
        {"Lighter": FILE},
        {"api_key_index": 5, "api_key_private_key": KEY},
        {"l1_private_key": "0x77"},
        {"auth_token": TOKEN},
        {"api_keys": [TEMPLATE, ROW, 7]},
    ],
)
@pytest.mark.parametrize("mode", [0o644, 0o602])
def test_a_key_that_everybody_may_read_is_refused(write, document, mode):
    path = write(document, mode=mode)
    with pytest.raises(ConfigError, match=f"chmod 600 {path}"):
        read_file(path)


@pytest.mark.parametrize(
    "document",
    [
        {"base_url": URL},
        {"l1_private_key": "YOUR_L1_KEY", "api_keys": [TEMPLATE]},
        {"api_keys": 5, "api_key_private_key": ""},
    ],
)
def test_a_file_without_a_key_may_be_read_by_everybody(write, document):
    assert read_file(write(document, mode=0o644)) == document


def test_a_template_falls_through_to_the_environment_with_its_account(
    write, environment
):
    template = {"base_url": URL, "account_index": 123456, "api_keys": [TEMPLATE]}
    flat = {"base_url": URL, "account_index": 123456, **TEMPLATE}
    for document in (template, flat):
        config = load_config(write({"Lighter": document}))
        assert config.account_index == 9
        assert config.api_keys == (ApiKeyConfig(6, OTHER_KEY),)
        # The environment beats the file for the address as well.
        assert config.base_url == environment["LIGHTER_BASE_URL"]


def test_a_file_with_one_real_key_keeps_its_account(write):
    config = load_config(write({**FILE, "api_keys": [TEMPLATE, ROW]}))
    assert config.account_index == 7


def test_arguments_beat_environment_beats_file_beats_default(write, environment):
    path = write({**FILE, "max_ws_batch": 3})
    assert load_config(path).account_index == 9
    assert load_config(path).api_keys == (ApiKeyConfig(6, OTHER_KEY),)
    assert load_config(path).max_ws_batch == 3
    assert load_config(path, {"max_ws_batch": 4}).max_ws_batch == 4
    given = load_config(
        path,
        {"account_index": 11, "api_key_index": 8, "api_key_private_key": KEY},
    )
    assert given.account_index == 11
    assert given.api_keys == (ApiKeyConfig(8, KEY),)
    assert load_config(None).max_ws_batch == 15
    assert load_config(path, {"account_index": None}).account_index == 9


def test_who_names_a_market_means_that_one(write):
    path = write({**FILE, "market_index": 0})
    config = load_config(path, {"symbol": "BTC"})
    assert (config.symbol, config.market_index) == ("BTC", None)
    path = write({**FILE, "symbol": "ETH"})
    config = load_config(path, {"market_id": 1})
    assert (config.symbol, config.market_index) == (None, 1)
    assert load_config(path).symbol == "ETH"


def test_an_index_alone_picks_one_of_the_keys(write):
    second = {"api_key_index": 8, "api_key_private_key": OTHER_KEY}
    path = write({**FILE, "api_keys": [ROW, second]})
    config = load_config(path, {"api_key_index": 8})
    assert config.api_keys == (ApiKeyConfig(8, OTHER_KEY),)
    with pytest.raises(CredentialsError, match="api_key_index: 9 has no key"):
        load_config(path, {"api_key_index": 9})


def test_a_file_that_does_not_exist_is_fine_with_a_full_environment(
    tmp_path, environment
):
    config = load_config(tmp_path / "absent.json")
    assert config.account_index == 9
    assert load_config(str(tmp_path / "absent.json")).account_index == 9


def test_a_file_that_does_not_exist_is_named_when_something_lacks(tmp_path, write):
    absent = tmp_path / "absent.json"
    with pytest.raises(ConfigError, match=r"base_url.*absent\.json does not exist"):
        load_config(absent)
    with pytest.raises(CredentialsError, match=r"api_keys.*absent\.json does not"):
        load_config(absent, {"base_url": URL, "account_index": 7})
    with pytest.raises(ConfigError) as caught:
        load_config(write({}))
    assert "does not exist" not in str(caught.value)


def test_an_unknown_argument_is_named():
    with pytest.raises(ConfigError, match="sybmol: no such setting"):
        load_config(None, {"sybmol": "ETH"})


# ------------------------------------------------------------------ read-only tokens


def test_a_token_reads_in_place_of_a_key_and_names_its_account(monkeypatch):
    config = load_config(None, {"base_url": URL, "auth_token": TOKEN})
    assert (config.auth_token, config.account_index) == (TOKEN, 7)
    assert config.api_keys == ()
    assert KEY not in repr(config)
    monkeypatch.setenv("LIGHTER_AUTH_TOKEN", TOKEN)
    found = load_config(None, {"base_url": URL, "account_index": 9})
    assert (found.auth_token, found.account_index) == (TOKEN, 9)
    assert found.api_keys == ()


def test_a_dealer_says_that_a_token_is_no_key():
    config = DealerConfig(base_url=URL, account_index=7, auth_token=TOKEN)
    with pytest.raises(CredentialsError, match=r"auth_token only reads, so a key is"):
        complete(config)
    assert complete(config, reads_only=True).auth_token == TOKEN
    bare = DealerConfig(base_url=URL, account_index=7)
    with pytest.raises(CredentialsError, match="no API key \\(none given\\)"):
        complete(bare, reads_only=True)


def test_a_key_beside_a_token_is_kept(write):
    path = write({**FILE, "auth_token": TOKEN})
    config = load_config(path)
    assert config.api_keys == (ApiKeyConfig(5, KEY),)
    assert complete(config) == config


def test_a_token_that_is_passed_is_meant_whatever_key_lies_about(environment, write):
    config = load_config(write(FILE), {"auth_token": TOKEN})
    assert config.api_keys == ()
    both = load_config(write(FILE), {"auth_token": TOKEN, **ROW})
    assert both.api_keys == (ApiKeyConfig(5, KEY),)
    given = DealerConfig(base_url=URL, auth_token=TOKEN)
    assert complete(given, reads_only=True).api_keys == ()


def test_a_key_that_is_passed_leaves_a_token_of_the_environment_alone(monkeypatch):
    monkeypatch.setenv("LIGHTER_AUTH_TOKEN", TOKEN)
    config = DealerConfig(base_url=URL, account_index=7, api_keys=(ROW,))
    assert complete(config).auth_token is None


def test_a_placeholder_token_counts_as_absent(environment, write):
    config = load_config(write({"auth_token": "YOUR_AUTH_TOKEN"}))
    assert config.auth_token is None
    assert config.api_keys == (ApiKeyConfig(6, OTHER_KEY),)


@pytest.mark.parametrize("token", ["", KEY, f"ro:7:none:1900000000:{KEY}", 7, b"ro"])
def test_a_token_that_is_none_is_refused_and_not_shown(token):
    with pytest.raises(ConfigError, match=r"^auth_token: ") as caught:
        DealerConfig(auth_token=token)
    assert KEY not in str(caught.value)
