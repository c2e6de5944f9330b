"""Which settings can work, one by one; every message names field, value and fix."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from wrappy._core.scaling import PriceRounding
from wrappy.errors import ConfigError, CredentialsError
from wrappy.protocol.networks import known_chain_id
from wrappy.signing.read_only_token import token_scope

if TYPE_CHECKING:
    from wrappy.lighter.config import DealerConfig
    from wrappy.signing.read_only_token import TokenScope

_WHOLE = {
    "account_index": (1, (1 << 48) - 2),
    "market_index": (0, 4094),
    "price_scale": (1, 10**9),
    "size_scale": (1, 10**9),
    "max_ws_batch": (1, 50),
    "ip_weight_per_minute": (1, 10**7),
    "chain_id": (1, (1 << 32) - 1),
    "slippage_bps": (0, 10_000),
    "order_lifetime_s": (300, 30 * 86_400),
    "maker_lifetime_ms": (1_000, 599_000),
    "taker_lifetime_ms": (1_000, 599_000),
    "pipeline_depth": (1, 8),
    "dead_man_s": (300, 86_400),
}
_NEVER_NONE = frozenset(
    {
        "max_ws_batch",
        "slippage_bps",
        "maker_lifetime_ms",
        "taker_lifetime_ms",
        "pipeline_depth",
    }
)
_FLAGS = ("use_websocket", "prefer_high_level", "journal", "skip_nonce")
_TEXTS = (
    "base_url",
    "symbol",
    "l1_private_key",
    "auth_token",
    "state_dir",
    "budget_redis_url",
)
_REDIS = ("redis://", "rediss://", "unix://")
_WORDS = {
    "journal_sync": ("process", "power"),
    "unknown_orders": ("refuse", "adopt", "cancel"),
    "signer": ("official", "python"),
}


_LONGEST_SHOWN = 30
_LONGEST_SYMBOL = 32


def shown(value: object) -> str:
    """Return a wrong value for a message; a long text may be a key and is not told."""
    if isinstance(value, (str, bytes)) and len(value) > _LONGEST_SHOWN:
        return f"a text of {len(value)} characters"
    return repr(value)


def _check_whole(name: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigError(f"{name}: {shown(value)} is not a whole number")
    if not low <= value <= high:
        raise ConfigError(f"{name}: {value} is outside {low}..{high}")


def not_a_rounding(value: object) -> str:
    """Return what to say of a value that is no rounding."""
    words = ", ".join(rounding.name.lower() for rounding in PriceRounding)
    return f"price_rounding: {shown(value)} is none of {words}"


def check_settings(config: DealerConfig) -> None:
    """Check every setting by itself, and the chain against the address.

    Raises:
        ConfigError: one cannot work; the message names it.
    """
    for name, (low, high) in _WHOLE.items():
        value = getattr(config, name)
        if value is not None or name in _NEVER_NONE:
            _check_whole(name, value, low, high)
    _check_kinds(config)
    if not isinstance(config.price_rounding, PriceRounding):
        raise ConfigError(not_a_rounding(config.price_rounding))
    _check_jitter(config.jitter_ms)
    for name in ("request_timeout_s", "reconcile_timeout_s"):
        _check_timeout(name, getattr(config, name))
    if config.pipeline_depth > 1 and not config.use_websocket:
        raise ConfigError(
            f"pipeline_depth: {config.pipeline_depth} needs use_websocket=True; REST "
            "requests may overtake each other"
        )
    if config.auth_token is not None:
        given_scope(config.auth_token)
    if config.base_url is not None:
        check_base_url(config.base_url)
        _check_chain_id(config.base_url, config.chain_id)


def given_scope(text: str) -> TokenScope:
    """Return what a given auth token says of itself.

    Raises:
        CredentialsError: it is no token; the message does not repeat it.
    """
    try:
        return token_scope(text)
    except ValueError as error:
        raise CredentialsError(f"auth_token: is no token: {error}") from None


def _check_kinds(config: DealerConfig) -> None:
    for name in _FLAGS:
        if not isinstance(getattr(config, name), bool):
            value = shown(getattr(config, name))
            raise ConfigError(f"{name}: {value} is not true or false")
    tier = config.standard_account
    if tier is not None and not isinstance(tier, bool):
        raise ConfigError(f"standard_account: {shown(tier)} is not true or false")
    for name, words in _WORDS.items():
        value = getattr(config, name)
        if value not in words:
            choices = ", ".join(words)
            raise ConfigError(f"{name}: {shown(value)} is none of {choices}")
    for name in _TEXTS:
        value = getattr(config, name)
        if value is not None and not isinstance(value, str):
            raise ConfigError(f"{name}: a {type(value).__name__} is not text")
    redis = config.budget_redis_url
    if redis is not None and not redis.startswith(_REDIS):
        # What was given may hold a password, so it is not shown.
        raise ConfigError(
            "budget_redis_url: this is no address; give redis://HOST:PORT/NUMBER"
        )
    if config.symbol is not None and len(config.symbol) > _LONGEST_SYMBOL:
        # It would be shown later, and may be a key in the wrong place.
        raise ConfigError(f"symbol: {shown(config.symbol)} is no market's name")


def _check_timeout(name: str, timeout: object) -> None:
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
        raise ConfigError(f"{name}: {shown(timeout)} is not a number")
    if not 0 < timeout <= 600:  # noqa: PLR2004 - false for NaN as well
        raise ConfigError(f"{name}: {timeout!r} is outside 0..600")


def _check_jitter(jitter: object) -> None:
    if jitter is None:
        return
    pair = jitter if isinstance(jitter, tuple) else ()
    whole = all(isinstance(end, int) and not isinstance(end, bool) for end in pair)
    if len(pair) != 2 or not whole or not 0 <= pair[0] <= pair[1] <= 60_000:  # noqa: PLR2004
        raise ConfigError(
            f"jitter_ms: {shown(jitter)} is not a pair (low, high) within 0..60000"
        )


def _check_chain_id(base_url: str, chain_id: int | None) -> None:
    known = known_chain_id(base_url)
    if chain_id is not None and known is not None and chain_id != known:
        raise ConfigError(
            f"chain_id: {chain_id} is not the chain of {base_url}, which is {known}"
        )


def check_base_url(base_url: str) -> str:
    """Return a base URL in its one form, so that one exchange has one address.

    The host is in lower case; default port and trailing slash are left out.

    Raises:
        ConfigError: it is no http(s) address.
    """
    try:
        parts = urlsplit(base_url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
        usable = usable and parts.port != 0
    except ValueError:
        usable = False
    if "@" in base_url:
        raise ConfigError(
            "base_url: an address with a user or password in it is refused; "
            "leave out what stands before the @"
        )
    if not usable:
        told = repr(base_url) if "://" in base_url else shown(base_url)
        raise ConfigError(
            f"base_url: {told} is no address such as http://127.0.0.1:8080"
        )
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    standard = parts.port in (None, {"http": 80, "https": 443}[parts.scheme])
    port = "" if standard else f":{parts.port}"
    rest = base_url.split("://", 1)[1]
    path = rest[len(parts.netloc) :].rstrip("/")
    return f"{parts.scheme}://{host}{port}{path}"
