"""Real money is traded only by those who said so, and then said it again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wrappy.errors import ConfigError

if TYPE_CHECKING:
    from wrappy.lighter.config import DealerConfig
    from wrappy.runner.worlds.settings import WorldSettings


def require_live(settings: WorldSettings, place: str) -> None:
    """Look whether real money was meant, before any key is read.

    Raises:
        ConfigError: it was not.
    """
    if not settings.live:
        raise ConfigError(f"network: {place} trades real money; add --live to mean it")
    if settings.confirm is None:
        raise ConfigError(
            f"confirm: {place} trades real money; confirm account and network as well"
        )


def require_intent(settings: WorldSettings, config: DealerConfig, place: str) -> None:
    """Look whether this account is meant at this place; nothing is sent for it.

    Raises:
        ConfigError: it was not meant, or not confirmed.
    """
    require_live(settings, place)
    phrase = to_confirm(place, config)
    confirm = settings.confirm
    meant = confirm(phrase) if callable(confirm) else confirm == phrase
    if meant is not True:
        raise ConfigError(f"confirm: {phrase!r} was not confirmed; nothing was sent")


def to_confirm(place: str, config: DealerConfig) -> str:
    """Return what has to be confirmed: it names account and network."""
    return f"trade account {config.account_index} on {place}"
