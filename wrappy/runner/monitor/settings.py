"""The section [monitor] of a settings file."""

from __future__ import annotations

import os
import re
import secrets
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from wrappy.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

TOKEN_VARIABLE: Final = "WRAPPY_MONITOR_TOKEN"  # noqa: S105 - a variable's name
SHORTEST_TOKEN: Final = 20
_LAST_PORT: Final = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorSettings:
    """Where and for whom the monitor answers.

    Attributes:
        enabled: whether there is one.
        host: address to listen on; one of this machine's own, nothing else.
        port: 0 takes a free one.
        every_s: pause between two looks at the engine, seconds.
        open_metrics: whether `/metrics` answers without the token, for programs on
            this machine that cannot send one.

    Raises:
        ConfigError: a value that cannot work, by its name.
    """

    enabled: bool = False
    host: str = "127.0.0.1"
    port: int = 8787
    every_s: float = 1.0
    open_metrics: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        try:
            local = self.host == "localhost" or ip_address(self.host).is_loopback
        except ValueError:
            local = False
        if not local:
            raise ConfigError(
                f"host: {self.host!r} is not this machine's own; give "
                "127.0.0.1 and come from elsewhere through an ssh tunnel"
            )
        if not 0 <= self.port <= _LAST_PORT:
            raise ConfigError(f"port: {self.port} is not within 0..65535")
        if not 0.05 <= self.every_s <= 60:  # noqa: PLR2004 - told in the message
            raise ConfigError(f"every_s: {self.every_s} is not within 0.05..60 seconds")


def monitor_token(environ: Mapping[str, str] = os.environ) -> str:
    """Return the token of `WRAPPY_MONITOR_TOKEN`, or else a new random one.

    Raises:
        ConfigError: the one in the environment is too short to be a secret, or has
            signs that an address cannot carry.
    """
    given = environ.get(TOKEN_VARIABLE, "")
    if not given:
        return secrets.token_urlsafe(32)
    if len(given) < SHORTEST_TOKEN or not re.fullmatch(r"[A-Za-z0-9._~-]+", given):
        raise ConfigError(
            f"{TOKEN_VARIABLE}: is not {SHORTEST_TOKEN} or more letters, digits and "
            "-._~; leave it out to have one made"
        )
    return given
