"""Sends messages through apprise. Its addresses hold passwords and are never told."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from wrappy.errors import ConfigError
from wrappy.runner.events import Tone

if TYPE_CHECKING:
    from collections.abc import Sequence

logger = logging.getLogger("wrappy.alerts")

_TALKATIVE: Final = (
    "apprise",
    "requests",
    "urllib3.connection",
    "urllib3.connectionpool",
    "urllib3.util.retry",
)
"""Loggers that write addresses or parts of them, in whatever thread apprise uses."""


class _Hush(logging.Filter):
    """Drops everything."""

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002 - the interface
        """Return that the record may not be written."""
        return False


class AppriseNotify:
    """Sends one message to every address, one after the other.

    Until `close` the libraries beneath it log nothing at all.

    Args:
        urls: addresses in apprise's way of writing.
        timeout_s: for each connection, and for each answer.

    Raises:
        ConfigError: apprise is not installed, or does not know an address; which
            one is told by its place.
    """

    def __init__(self, urls: Sequence[str], *, timeout_s: float = 8.0) -> None:
        try:
            import apprise  # noqa: PLC0415 - an extra, and slow to load
        except ImportError:
            raise ConfigError(
                "alerts need apprise: pip install 'wrappy-lighter[alerts]'"
            ) from None
        self._types = {
            Tone.GOOD: apprise.NotifyType.SUCCESS,
            Tone.PLAIN: apprise.NotifyType.INFO,
            Tone.WARN: apprise.NotifyType.WARNING,
            Tone.BAD: apprise.NotifyType.FAILURE,
        }
        self._hush = _Hush()
        for name in _TALKATIVE:
            logging.getLogger(name).addFilter(self._hush)
        self._targets: list[Any] = []
        for number, url in enumerate(urls, 1):
            # Kept in memory: no file beside it holds what was sent where.
            asset = apprise.AppriseAsset(async_mode=False, storage_mode="memory")
            target = apprise.Apprise(asset=asset)
            if not target.add(_with_timeouts(url, timeout_s)):
                self.close()
                raise ConfigError(
                    f"alerts: address {number} of {len(urls)} is none that "
                    "apprise knows; it is not shown here because it is a secret"
                )
            self._targets.append(target)

    def __repr__(self) -> str:
        return f"AppriseNotify({len(self._targets)} addresses)"

    def __call__(self, title: str, body: str, tone: Tone) -> int:
        """Send a message; return how many addresses did not take it."""
        return sum(
            not target.notify(body=body, title=title, notify_type=self._types[tone])
            for target in self._targets
        )

    def close(self) -> None:
        """Let the other loggers be."""
        for name in _TALKATIVE:
            logging.getLogger(name).removeFilter(self._hush)


def _with_timeouts(url: str, timeout_s: float) -> str:
    # apprise takes its timeouts as a part of the address.
    if "cto=" in url or "rto=" in url:
        return url
    joint = "&" if "?" in url else "?"
    return f"{url}{joint}cto={timeout_s:g}&rto={timeout_s:g}"
