"""Where settings come from: arguments beat environment beat file beat defaults."""

from __future__ import annotations

import dataclasses
import difflib
import logging
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from wrappy._core.scaling import PriceRounding
from wrappy.errors import ConfigError, CredentialsError
from wrappy.lighter.config_checks import (
    check_base_url,
    check_settings,
    given_scope,
    not_a_rounding,
    shown,
)
from wrappy.lighter.config_file import read_document
from wrappy.protocol.networks import MAINNET, TESTNET, chain_id_for
from wrappy.protocol.tiers import BATCH_LIMIT
from wrappy.signing.keys import secret_scalar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FIRST_OWN_KEY_INDEX = 4
LAST_KEY_INDEX = 254
NETWORKS = {"testnet": TESTNET, "mainnet": MAINNET}
"""Addresses of the public deployments by the names that commands use."""

logger = logging.getLogger("wrappy.config")

PLACEHOLDER = "YOUR_"
"""A key that starts like this is a template nobody filled in: it counts as absent."""

ENVIRONMENT = {
    "LIGHTER_BASE_URL": "base_url",
    "LIGHTER_CHAIN_ID": "chain_id",
    "LIGHTER_ACCOUNT_INDEX": "account_index",
    "LIGHTER_L1_KEY": "l1_private_key",
    "LIGHTER_API_KEY_INDEX": "api_key_index",
    "LIGHTER_API_KEY": "api_key_private_key",
    "LIGHTER_AUTH_TOKEN": "auth_token",
    "LIGHTER_STATE_DIR": "state_dir",
}


@dataclass(frozen=True, slots=True)
class ApiKeyConfig:
    """One API key of the account.

    Attributes:
        api_key_index: 4..254; 0 to 3 belong to the exchange's own applications.
        api_key_private_key: 80 hex digits, with or without `0x`; never shown.
    """

    api_key_index: int
    api_key_private_key: str = field(repr=False)

    def __post_init__(self) -> None:
        index = self.api_key_index
        if isinstance(index, bool) or not isinstance(index, int):
            raise CredentialsError(
                f"api_key_index: {shown(index)} is not a whole number"
            )
        if 0 <= index < FIRST_OWN_KEY_INDEX:
            raise CredentialsError(
                f"api_key_index: {index} is reserved for the exchange's own "
                f"applications; create a key with an index from "
                f"{FIRST_OWN_KEY_INDEX} to {LAST_KEY_INDEX}"
            )
        if not FIRST_OWN_KEY_INDEX <= index <= LAST_KEY_INDEX:
            raise CredentialsError(
                f"api_key_index: {index} is outside "
                f"{FIRST_OWN_KEY_INDEX}..{LAST_KEY_INDEX}"
            )
        if not isinstance(self.api_key_private_key, str):
            kind = type(self.api_key_private_key).__name__
            raise CredentialsError(
                f"api_key_private_key: a {kind} is not text; give 80 hex digits"
            )
        secret_scalar(self.api_key_private_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class DealerConfig:
    """Settings of a dealer; the names are those of the config file.

    What is None here is looked up in the environment (`LIGHTER_*`) when the dealer
    is created, and only then missed.

    Attributes:
        base_url: REST address of the exchange, such as `http://127.0.0.1:8080`.
        account_index: index of the account.
        l1_private_key: not needed for trading; accepted and never used.
        api_keys: the account's API keys; plain dicts are accepted.
        auth_token: read-only token, for streams without an API key; where a key is
            given too, the key signs the tokens. A dealer needs a key.
        symbol: market by name; or
        market_index: market by index.
        price_scale: expected ticks in one USDC; checked against the exchange.
        size_scale: expected lots in one unit; checked against the exchange.
        use_websocket: send over the WebSocket instead of REST.
        max_ws_batch: transactions in one batch, 1..50; the exchange takes 15.
        standard_account: True paces for a standard account (60 requests a minute),
            False for a premium account; None asks the exchange for the tier.
        ip_weight_per_minute: overrides the pace: weight a minute.
        jitter_ms: random pause before a send, (low, high) milliseconds.
        prefer_high_level: dry run: sign and show, send nothing.
        chain_id: signed into every transaction; derived from `base_url` if None.
        price_rounding: how a price between two ticks is placed.
        slippage_bps: bound of a market order without a price, 1e-4 of the best
            opposite price.
        order_lifetime_s: how long a resting order lives, 300 s to 30 days; None
            takes 28 days.
        request_timeout_s: longest wait for an answer.
        state_dir: folder for order numbers, journals and key locks; None takes
            `$XDG_STATE_HOME/wrappy` or `~/.local/state/wrappy`.
        journal: write every signed transaction to disk before it is sent.
        journal_sync: what a written line must survive: `process` (a kill) or
            `power` (a power cut; slower).
        unknown_orders: what to do at the start with live orders that no journal
            knows: `refuse` to start, `adopt` them, or `cancel` them.
        reconcile_timeout_s: longest wait for the exchange at the start, seconds.
        signer: `official` (the exchange's library) or `python`, whose transactions
            expire sooner.
        maker_lifetime_ms: how long a transaction may wait for execution,
            1,000..599,000 ms; only with the `python` signer.
        taker_lifetime_ms: the same for market and IOC orders.
        pipeline_depth: sends on a key that may be without an answer at a time,
            1..8; more than 1 only over the WebSocket.
        skip_nonce: let a transaction pass although a number before it is missing.
        dead_man_s: cancel all orders of the account when this client is silent for
            so many seconds, 300..86,400; None leaves the switch alone.
        budget_redis_url: Redis that shares the request budget among processes.
    """

    base_url: str | None = None
    account_index: int | None = None
    l1_private_key: str | None = field(default=None, repr=False)
    api_keys: tuple[ApiKeyConfig, ...] = ()
    auth_token: str | None = field(default=None, repr=False)
    symbol: str | None = None
    market_index: int | None = None
    price_scale: int | None = None
    size_scale: int | None = None
    use_websocket: bool = False
    max_ws_batch: int = BATCH_LIMIT
    standard_account: bool | None = None
    ip_weight_per_minute: int | None = None
    jitter_ms: tuple[int, int] | None = None
    prefer_high_level: bool = False
    chain_id: int | None = None
    price_rounding: PriceRounding = PriceRounding.NEAREST
    slippage_bps: int = 100
    order_lifetime_s: int | None = None
    request_timeout_s: float = 10.0
    state_dir: str | None = None
    journal: bool = True
    journal_sync: Literal["process", "power"] = "process"
    unknown_orders: Literal["refuse", "adopt", "cancel"] = "refuse"
    reconcile_timeout_s: float = 30.0
    signer: Literal["official", "python"] = "official"
    maker_lifetime_ms: int = 10_000
    taker_lifetime_ms: int = 5_000
    pipeline_depth: int = 1
    skip_nonce: bool = False
    dead_man_s: int | None = None
    budget_redis_url: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "api_keys", _api_keys(self.api_keys))
        if isinstance(self.jitter_ms, list):
            object.__setattr__(self, "jitter_ms", tuple(self.jitter_ms))
        if isinstance(self.price_rounding, str):
            object.__setattr__(self, "price_rounding", _rounding(self.price_rounding))
        check_settings(self)


def _api_keys(keys: Iterable[Any]) -> tuple[ApiKeyConfig, ...]:
    if isinstance(keys, (str, bytes)) or not hasattr(keys, "__iter__"):
        raise CredentialsError("api_keys: give a list of keys, each with its index")
    made = []
    for key in keys:
        if isinstance(key, ApiKeyConfig):
            made.append(key)
            continue
        try:
            index, private_key = key["api_key_index"], key["api_key_private_key"]
        except (KeyError, TypeError) as error:
            raise CredentialsError(
                "api_keys: each entry needs api_key_index and api_key_private_key"
            ) from error
        if not _is_placeholder(private_key):
            made.append(ApiKeyConfig(index, private_key))
    if len({key.api_key_index for key in made}) != len(made):
        raise CredentialsError("api_keys: an api_key_index stands there twice")
    return tuple(made)


def _is_placeholder(private_key: object) -> bool:
    return isinstance(private_key, str) and private_key.startswith(PLACEHOLDER)


def _rounding(word: str) -> PriceRounding:
    try:
        return PriceRounding[word.upper()]
    except KeyError:
        raise ConfigError(not_a_rounding(word)) from None


def ws_url_for(base_url: str) -> str:
    """Return the stream's address that belongs to a REST address."""
    return "ws" + check_base_url(base_url).removeprefix("http") + "/stream"


FIELDS = frozenset(item.name for item in dataclasses.fields(DealerConfig))
_MARKET_NAMES = frozenset({"symbol", "market_index"})
SHORTHAND = ("api_key_index", "api_key_private_key", "market_id")


def no_such_setting(name: str) -> str:
    """Return what to say of an unknown setting, with the nearest known one."""
    near = difflib.get_close_matches(name, sorted({*FIELDS, *SHORTHAND}), n=1)
    return f"{name}: no such setting" + (f"; is it {near[0]}?" if near else "")


def read_file(path: str | Path) -> dict[str, Any]:
    """Return the settings of a JSON file, with or without a `Lighter` section.

    Raises:
        ConfigError: the file cannot be read, is not JSON, is too large, is a link out
            of its folder, names an unknown setting, or holds a key or a token
            while everybody on the machine may read it.
    """
    file = Path(path)
    document, mode = read_document(file)
    section = document.get("Lighter", document) if isinstance(document, dict) else None
    if not isinstance(section, dict):
        raise ConfigError(f"{file}: the settings must be an object of names and values")
    unknown = sorted(set(section) - FIELDS - set(SHORTHAND))
    if unknown:
        raise ConfigError(f"{file}: {no_such_setting(unknown[0])}")
    if _holds_key(section) and mode & (stat.S_IROTH | stat.S_IWOTH):
        raise ConfigError(
            f"{file}: holds a key or a token and everybody may read it; "
            f"run: chmod 600 {file}"
        )
    return section


def _holds_key(section: Mapping[str, Any]) -> bool:
    rows = section.get("api_keys")
    names = ("api_key_private_key", "l1_private_key", "auth_token")
    keys = [section.get(name) for name in names]
    if isinstance(rows, list):
        keys += [
            row.get("api_key_private_key") for row in rows if isinstance(row, dict)
        ]
    return any(
        isinstance(key, str) and key and not _is_placeholder(key) for key in keys
    )


def read_environment(environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the settings that `LIGHTER_*` variables give.

    Raises:
        ConfigError: a number is none.
    """
    source = os.environ if environment is None else environment
    found: dict[str, Any] = {}
    for variable, name in ENVIRONMENT.items():
        text = source.get(variable, "")
        if not text:
            continue
        if name not in ("chain_id", "account_index", "api_key_index"):
            found[name] = text
            continue
        try:
            found[name] = int(text)
        except ValueError:
            # Without its cause, which repeats the text: it may be a key.
            raise ConfigError(
                f"{variable}: {shown(text)} is not a whole number"
            ) from None
    return found


def load_config(
    path: str | Path | None = None, overrides: Mapping[str, Any] | None = None
) -> DealerConfig:
    """Return the settings of arguments, environment and file, in that order.

    A file that does not exist is no error as long as the environment or the
    arguments give what is needed.

    Raises:
        ConfigError: a setting is unknown, wrong or missing; the message names it.
    """
    given = {k: v for k, v in (overrides or {}).items() if v is not None}
    unknown = sorted(set(given) - FIELDS - set(SHORTHAND))
    if unknown:
        raise ConfigError(no_such_setting(unknown[0]))
    absent = path is None or not Path(path).exists()
    file = {} if path is None or absent else read_file(path)
    environment = read_environment()
    merged: dict[str, Any] = {}
    for source in (file, environment, given):
        settings = _spelled_out(source)
        if settings.keys() & _MARKET_NAMES:
            # Who names a market means that one, whatever a lower source says.
            for name in _MARKET_NAMES:
                merged.pop(name, None)
        merged.update(settings)
    if "auth_token" in given and "api_key_private_key" not in given:
        # Who passes a token wants to read with it, whatever key lies elsewhere.
        merged["api_keys"] = given.get("api_keys", ())
    try:
        config = complete(DealerConfig(**merged), reads_only=True)
    except ConfigError as error:
        if path is not None and absent:
            raise type(error)(f"{error} ({path} does not exist)") from error
        raise
    index = given.get("api_key_index")
    if index is None or _is_placeholder(given.get("api_key_private_key")):
        return config
    # An index without a key beside it picks one of the keys found elsewhere.
    keys = tuple(key for key in config.api_keys if key.api_key_index == index)
    if not keys:
        raise CredentialsError(
            f"api_key_index: {shown(index)} has no key; pass api_key_private_key=... "
            "beside it or write the key in the config file"
        )
    return dataclasses.replace(config, api_keys=keys)


def _spelled_out(source: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings under their full names: one key becomes a list of one."""
    settings = {name: value for name, value in source.items() if value is not None}
    index = settings.pop("api_key_index", None)
    private_key = settings.pop("api_key_private_key", None)
    if _is_placeholder(settings.get("auth_token")):
        del settings["auth_token"]
    if "market_id" in settings:
        settings["market_index"] = settings.pop("market_id")
    if private_key is not None and not _is_placeholder(private_key):
        if index is None:
            raise CredentialsError("api_key_index: missing beside the API key")
        settings["api_keys"] = (ApiKeyConfig(index, private_key),)
        return settings
    if _is_placeholder(private_key) or _only_placeholders(settings.get("api_keys")):
        # A template's key: its account stands for nothing either.
        logger.info("a placeholder key is left out, and its account with it")
        settings.pop("api_keys", None)
        settings.pop("account_index", None)
    return settings


def _only_placeholders(rows: object) -> bool:
    return (
        isinstance(rows, (list, tuple))
        and bool(rows)
        and all(
            isinstance(row, dict) and _is_placeholder(row.get("api_key_private_key"))
            for row in rows
        )
    )


def _with_environment(config: DealerConfig) -> DealerConfig:
    missing = {
        name: value
        for name, value in _spelled_out(read_environment()).items()
        if name in FIELDS and getattr(config, name) in (None, ())
    }
    if config.api_keys or config.auth_token:
        # One way to read is enough, and the given one is meant.
        for name in ("api_keys", "auth_token"):
            missing.pop(name, None)
    return dataclasses.replace(config, **missing)


def complete_address(config: DealerConfig) -> DealerConfig:
    """Return `config` with address and chain settled, as public streams need it.

    Raises:
        ConfigError: no address is given anywhere.
    """
    full = config
    if full.base_url is None:
        full = dataclasses.replace(full, base_url=read_environment().get("base_url"))
    if full.base_url is None:
        raise ConfigError(
            "base_url: not given; pass base_url=..., set LIGHTER_BASE_URL or write it "
            "in the config file (mainnet is https://mainnet.zklighter.elliot.ai, a "
            "local exchange starts with: python -m wrappy.venue)"
        )
    chain_id = full.chain_id or chain_id_for(full.base_url)
    return dataclasses.replace(
        full, base_url=check_base_url(full.base_url), chain_id=chain_id
    )


def complete(config: DealerConfig, *, reads_only: bool = False) -> DealerConfig:
    """Return `config` with what it lacks taken from the environment.

    Args:
        config: the settings as given.
        reads_only: whether a token is enough instead of a key.

    Raises:
        ConfigError: address, account or key is given nowhere.
    """
    full = complete_address(_with_environment(config))
    token = full.auth_token
    if full.account_index is None and token is not None and not full.api_keys:
        account = given_scope(token).account_index
        full = dataclasses.replace(full, account_index=account)
    if full.account_index is None:
        raise ConfigError(
            "account_index: not given; pass account_index=..., set "
            "LIGHTER_ACCOUNT_INDEX or write it in the config file"
        )
    if not full.api_keys and not (reads_only and token):
        lacks = "auth_token only reads, so a key is needed" if token else "none given"
        raise CredentialsError(
            f"api_keys: no API key ({lacks}); pass api_keys=..., set "
            "LIGHTER_API_KEY_INDEX and LIGHTER_API_KEY or write them in the config "
            "file"
        )
    return full
