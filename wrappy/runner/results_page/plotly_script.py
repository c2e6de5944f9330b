"""The drawing script that pages carry with them, so that they need no network."""

from __future__ import annotations

from functools import cache

from wrappy.errors import ConfigError


@cache
def drawing_script() -> str:
    """Return plotly's own script, whole.

    Raises:
        ConfigError: plotly is not installed.
    """
    try:
        from plotly.offline import get_plotlyjs  # noqa: PLC0415 - may be missing
    except ImportError as error:
        raise ConfigError(
            "report: plotly is not installed; pip install 'wrappy-lighter[report]'"
        ) from error
    return str(get_plotlyjs())
