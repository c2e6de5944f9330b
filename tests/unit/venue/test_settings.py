"""Settings of the local exchange refuse what cannot work, by name."""

from __future__ import annotations

import pytest

from wrappy.errors import ConfigError
from wrappy.venue import VenueSettings


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tier", "gold"),
        ("account_count", 1),
        ("batch_limit", 0),
        ("collateral", -1),
        ("symbols", ()),
        ("flow", "random"),
        ("verify", "all"),
        ("verify", 1),
        ("first_nonce", 2),
        ("first_nonce", True),
        ("gone_order", False),
        ("price_bands", False),
        ("expired_token", "ignore"),
        ("stream_auth_code", 30001),
    ],
)
def test_a_wrong_setting_is_named(field, value):
    with pytest.raises(ConfigError, match=f"^{field}: "):
        VenueSettings(**{field: value})
