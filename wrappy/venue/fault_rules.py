"""A rule for something to go wrong on purpose: its fields, its bounds, its checks."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from wrappy.errors import ConfigError
from wrappy.venue.toml_file import read_toml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Phase = Literal["request", "after_accept", "reply", "push", "tick"]
"""When: before the exchange sees a request, after it has accepted transactions,
before an answer leaves, before a frame of a channel leaves, or as time passes over an
open WebSocket, ten times a second."""

Act = Literal[
    "drop",
    "delay",
    "dup",
    "reorder",
    "truncate",
    "garbage",
    "status",
    "close",
    "stall",
    "silent_drop",
    "skew",
    "shutdown",
    "expire_token",
    "bump_nonce",
    "huge",
    "nonce_gap",
    "offset_jump",
    "freeze",
]

Door = Literal["rest", "stream"]

CERTAIN: Final = 1_000_000
"""A probability of one, in millionths."""
MOST_DELAY_MS: Final = 86_400_000
MOST_BYTES: Final = 100_000_000
STATUSES: Final = range(300, 600)
_CLOSE_CODES: Final = range(1_000, 5_000)

_ANYWHERE: Final = frozenset({"skew", "shutdown"})
POSSIBLE: Final[dict[tuple[str, str], frozenset[str]]] = {
    ("rest", "request"): _ANYWHERE
    | {"drop", "delay", "dup", "reorder", "status", "stall", "bump_nonce"}
    | {"expire_token"},
    ("stream", "request"): _ANYWHERE
    | {"drop", "delay", "dup", "status", "stall", "bump_nonce"}
    | {"expire_token", "close", "freeze"},
    ("rest", "after_accept"): _ANYWHERE | {"silent_drop", "bump_nonce"},
    ("stream", "after_accept"): _ANYWHERE | {"silent_drop", "bump_nonce", "close"},
    ("rest", "reply"): _ANYWHERE
    | {"drop", "delay", "reorder", "truncate", "garbage", "status", "stall"},
    ("stream", "reply"): _ANYWHERE
    | {"drop", "delay", "dup", "reorder", "truncate", "garbage", "status"}
    | {"stall", "close", "huge", "freeze"},
    ("stream", "push"): _ANYWHERE
    | {"drop", "delay", "dup", "reorder", "truncate", "garbage", "close"}
    | {"expire_token", "huge", "nonce_gap", "offset_jump", "freeze"},
    ("stream", "tick"): _ANYWHERE | {"close", "expire_token", "freeze"},
}
"""Which acts can be done where."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRule:
    """One thing to go wrong: what it matches, what it does, how often.

    Attributes:
        act: what happens; see the table in the documentation.
        phase: when.
        path: REST path, such as `/api/v1/sendTx`, or the type of a WebSocket
            message, such as `jsonapi/sendtx`, `ping`, or `ping/frame` for one of the
            protocol; for a push the type of the frame, such as
            `subscribed/order_book`. A `*` at the end stands for any rest. None
            matches all.
        channel: channel as subscribed, such as `account_orders/0/1`, or only its
            first part; None matches all.
        account: index of the account concerned, or None.
        tx_type: number of a transaction type among those sent, or None.
        nth: only the nth match, from 1.
        every: only each such match: 3 means the third, the sixth and so on.
        probability: chance of each remaining match, in millionths.
        times: most firings; None for no bound.
        after_ms: only on WebSockets that have been open for so long.
        delay_ms: how long for `delay` and `reorder`, and how long after its
            announcement a `shutdown` closes the connections.
        spread_ms: up to so much more delay, drawn evenly.
        code: HTTP status, error code of a WebSocket, or close code.
        html: whether the body of a `status` is a page rather than JSON.
        skew_ms: by how much the venue's clock jumps, either way.
        count: how many nonces `bump_nonce` spends, and by how much `nonce_gap` and
            `offset_jump` go wrong.
        size_bytes: least length of a `huge` frame.
        binary: whether `garbage` on a WebSocket is a binary frame of any bytes,
            rather than text.

    Raises:
        ConfigError: the rule cannot work; the message names the field.
    """

    act: Act
    phase: Phase = "request"
    path: str | None = None
    channel: str | None = None
    account: int | None = None
    tx_type: int | None = None
    nth: int | None = None
    every: int | None = None
    probability: int = CERTAIN
    times: int | None = None
    after_ms: int = 0
    delay_ms: int = 0
    spread_ms: int = 0
    code: int = 0
    html: bool = False
    skew_ms: int = 0
    count: int = 1
    size_bytes: int = 10_000_000
    binary: bool = False

    def __post_init__(self) -> None:
        _one_of("act", self.act, get_args(Act))
        _one_of("phase", self.phase, get_args(Phase))
        if not any(
            self.act in acts
            for (_, phase), acts in POSSIBLE.items()
            if phase == self.phase
        ):
            phases = sorted(
                {p for (_, p), acts in POSSIBLE.items() if self.act in acts}
            )
            raise ConfigError(
                f"phase: {self.act!r} cannot be done at {self.phase!r}; "
                f"give {' or '.join(map(repr, phases))}"
            )
        for name in ("path", "channel"):
            text = getattr(self, name)
            if text is not None and (not isinstance(text, str) or not text):
                raise ConfigError(f"{name}: {text!r} is no text; leave it out for all")
        for name, low, high in _BOUNDS:
            _within(name, getattr(self, name), low, high)
        for name in ("html", "binary"):
            flag = getattr(self, name)
            if not isinstance(flag, bool):
                raise ConfigError(f"{name}: {flag!r} is neither true nor false")
        self._check_place()
        self._check_together()

    def _check_place(self) -> None:
        if self.path is not None and "*" in self.path[:-1]:
            raise ConfigError(f"path: {self.path!r} may have a * at its end only")
        if self.phase == "push" and self._only_rest():
            raise ConfigError(
                f"path: {self.path!r} is none of a push; give channel, or the type of "
                "a frame such as 'update/trade'"
            )
        if self.phase == "tick" and (self.path, self.channel) != (None, None):
            name = "channel" if self.path is None else "path"
            raise ConfigError(f"{name}: a tick has none; leave it out")
        if self.channel is not None and self.phase in ("after_accept", "reply"):
            raise ConfigError(f"channel: there is none at {self.phase!r}; give path")
        if self.after_ms and self._only_rest():
            raise ConfigError("after_ms: only WebSockets have an age; leave it out")

    def _check_together(self) -> None:
        if self.nth is not None and self.every is not None:
            raise ConfigError("every: cannot go with nth; give one of them")
        if self.act == "status" and self.code == 0:
            raise ConfigError("code: is required, such as 503")
        if self.act == "close" and self.code not in _CLOSE_CODES:
            raise ConfigError(f"code: {self.code} is no close code (1000..4999)")
        if self.act == "delay" and not self.delay_ms + self.spread_ms:
            raise ConfigError("delay_ms: is required, in milliseconds")
        if self.act == "skew" and not self.skew_ms:
            raise ConfigError("skew_ms: is required, in milliseconds, may be negative")
        if self.act == "status" and self._only_rest() and self.code not in STATUSES:
            raise ConfigError(f"code: {self.code} is no HTTP status (300..599)")

    def _only_rest(self) -> bool:
        return self.path is not None and self.path.startswith("/")


_WHOLE: Final = 2**63 - 1
_BOUNDS: Final[tuple[tuple[str, int | None, int], ...]] = (
    ("account", 0, _WHOLE),
    ("tx_type", 0, 255),
    ("nth", 1, _WHOLE),
    ("every", 1, _WHOLE),
    ("probability", 0, CERTAIN),
    ("times", 1, _WHOLE),
    ("after_ms", 0, MOST_DELAY_MS),
    ("delay_ms", 0, MOST_DELAY_MS),
    ("spread_ms", 0, MOST_DELAY_MS),
    ("code", 0, 99_999),
    ("skew_ms", -MOST_DELAY_MS, MOST_DELAY_MS),
    ("count", 1, 1_000),
    ("size_bytes", 1, MOST_BYTES),
)
_OPTIONAL: Final = frozenset({"account", "tx_type", "nth", "every", "times"})


def _one_of(name: str, value: object, words: tuple[str, ...]) -> None:
    if value not in words:
        raise ConfigError(f"{name}: {value!r} is none of {', '.join(map(repr, words))}")


def _within(name: str, value: object, low: int | None, high: int) -> None:
    if value is None and name in _OPTIONAL:
        return
    if type(value) is not int or not (low or 0) <= value <= high:
        raise ConfigError(f"{name}: {value!r} is not a whole number in {low}..{high}")


def rule_from(values: Mapping[str, Any]) -> FaultRule:
    """Return the rule that a JSON or TOML table describes.

    Raises:
        ConfigError: a name is unknown, `act` is missing, or a value cannot work.
    """
    known = [item.name for item in fields(FaultRule)]
    for name in values:
        if name not in known:
            raise ConfigError(f"{name}: no field of a fault; there are {known}")
    if "act" not in values:
        raise ConfigError("act: is required")
    return FaultRule(**values)


def read_storm(path: Path) -> tuple[FaultRule, ...]:
    """Return the rules of a file: `[[fault]]` tables in TOML, or a list in JSON.

    Args:
        path: ends in `.toml` or in `.json`.

    Raises:
        ConfigError: it cannot be read, or a rule cannot work; the message tells which.
    """
    rows = _toml_rows(path) if path.suffix == ".toml" else _json_rows(path)
    rules = []
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise ConfigError(f"faults: {path}: fault {number} is no table of fields")
        try:
            rules.append(rule_from(row))
        except ConfigError as error:
            raise ConfigError(f"faults: {path}: fault {number}: {error}") from error
    return tuple(rules)


def _toml_rows(path: Path) -> list[Any]:
    found = read_toml(path, "faults")
    rows = found.get("fault")
    if not isinstance(rows, list) or len(found) != 1:
        raise ConfigError(f"faults: {path}: write [[fault]] tables and nothing else")
    return rows


def _json_rows(path: Path) -> list[Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"faults: {path} cannot be read: {error}") from error
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"faults: {path} is no JSON: {error}") from error
    if not isinstance(rows, list):
        raise ConfigError(f"faults: {path}: write a list of faults")
    return rows
