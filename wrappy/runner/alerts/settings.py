"""The section [alerts] of a settings file, and the addresses, which are secrets."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final

from wrappy.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

URLS_VARIABLE: Final = "WRAPPY_ALERT_URLS"
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_MOST_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSettings:
    """When a person is told, and how often at most.

    What is None is never told. Where messages go is no setting: the addresses hold
    passwords, see `alert_urls`.

    Attributes:
        enabled: whether anything is told at all.
        urls_file: file with the addresses, one a line, for its owner only.
        on_crash: a strategy that raised.
        on_risk_state: the guard changed its state.
        on_foreign_nonce: somebody else uses an API key.
        unknown_order_s: an order has been in doubt for so long.
        disconnected_s: the account's stream has been gone for so long.
        stalled_s: the event loop has not moved for so long.
        drawdown: equity so far below its peak, as a part of it.
        daily_loss: so much lost since 00:00 UTC, in USDC.
        repeat_s: the same alert is not sent again for so long.
        most_per_hour: messages at most; what is more comes as one digest.
        title: begins every message, to tell bots apart.

    Raises:
        ConfigError: a value that cannot work, by its name.
    """

    enabled: bool = True
    urls_file: str | None = None
    on_crash: bool = True
    on_risk_state: bool = True
    on_foreign_nonce: bool = True
    unknown_order_s: float | None = 30.0
    disconnected_s: float | None = 30.0
    stalled_s: float | None = 15.0
    drawdown: Decimal | None = Decimal("0.10")
    daily_loss: Decimal | None = None
    repeat_s: float = 900.0
    most_per_hour: int = 20
    title: str = "wrappy"

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        for name in ("unknown_order_s", "disconnected_s", "stalled_s", "daily_loss"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(
                    f"{name}: {value} is not above 0; leave it out for never"
                )
        if self.drawdown is not None and not 0 < self.drawdown < 1:
            raise ConfigError(
                f"drawdown: {self.drawdown} is not between 0 and 1; 0.1 is 10 %"
            )
        if not self.repeat_s >= 1:
            raise ConfigError(f"repeat_s: {self.repeat_s} is below 1 second")
        if self.most_per_hour < 1:
            raise ConfigError(f"most_per_hour: {self.most_per_hour} is below 1")


def alert_urls(
    settings: AlertSettings, environ: Mapping[str, str] = os.environ
) -> tuple[str, ...]:
    """Return the addresses that messages go to, in apprise's way of writing.

    They are taken from `WRAPPY_ALERT_URLS`, parted by blanks, or else from the
    settings' file. They are secrets: do not log them.

    Raises:
        ConfigError: the file cannot be read, or others may read it as well.
    """
    given = environ.get(URLS_VARIABLE, "").split()
    if given or settings.urls_file is None:
        return tuple(given)
    path = Path(settings.urls_file).expanduser()
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if mode & _OTHERS:
                raise ConfigError(
                    f"alerts.urls_file: {path} is open to others (mode "
                    f"{stat.S_IMODE(mode):04o}); chmod 600 it"
                )
            text = file.read(_MOST_BYTES).decode()
    except OSError as error:
        raise ConfigError(
            f"alerts.urls_file: {path} cannot be read ({error.strerror})"
        ) from None
    except UnicodeDecodeError:
        raise ConfigError(f"alerts.urls_file: {path} is no text") from None
    lines = (line.strip() for line in text.splitlines())
    return tuple(line for line in lines if line and not line.startswith("#"))
