"""What can be imported from `wrappy.venue`."""

from __future__ import annotations

import pytest

import wrappy.venue


def test_every_name_it_offers_is_there():
    for name in wrappy.venue.__all__:
        assert getattr(wrappy.venue, name).__module__.startswith("wrappy.venue.")


def test_what_is_not_there_is_named():
    with pytest.raises(
        AttributeError, match=r"'wrappy.venue' has no attribute 'Vanue'"
    ):
        _ = wrappy.venue.Vanue
