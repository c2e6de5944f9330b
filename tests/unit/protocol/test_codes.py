"""Error codes: the published words, and the exception each becomes."""

from __future__ import annotations

import pytest

from wrappy import errors
from wrappy.protocol import codes
from wrappy.protocol.code_table import CODE_TABLE


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (21104, errors.NonceRejectedError),
        (21105, errors.NonceRejectedError),
        (20013, errors.AuthRejectedError),
        (21109, errors.AuthRejectedError),
        (21600, errors.OrderNotFoundError),
        (21715, errors.OrderNotFoundError),
        (21700, errors.OrderRejectedError),
        (21999, errors.OrderRejectedError),
        (23000, errors.RateLimitedError),
        (30010, errors.RateLimitedError),
        (29500, errors.VenueUnavailableError),
        (22000, errors.VenueError),
        (20001, errors.VenueError),
        (30003, errors.VenueError),
    ],
)
def test_a_code_decides_the_exception(code, kind):
    error = codes.error_for(code, "words", endpoint="/api/v1/sendTx")
    assert type(error) is kind
    assert (error.code, error.message, error.endpoint) == (
        code,
        "words",
        "/api/v1/sendTx",
    )


@pytest.mark.parametrize("status", [405, 429])
def test_a_throttling_status_outranks_the_code(status):
    error = codes.error_for(21104, "", endpoint="x", http_status=status)
    assert type(error) is errors.RateLimitedError


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_server_error_leaves_the_outcome_unknown(status):
    error = codes.error_for(21104, "", endpoint="x", http_status=status)
    assert type(error) is errors.VenueUnavailableError
    assert error.outcome == "unknown"


@pytest.mark.parametrize(("code", "status"), [(23000, 429), (21500, 400), (21741, 200)])
def test_an_empty_volume_quota_is_no_rate_whatever_its_code(code, status):
    words = "Not enough volume quota remaining"
    error = codes.error_for(code, words, endpoint="x", http_status=status)
    assert isinstance(error, errors.RateLimitedError)
    assert error.volume_quota
    assert (error.code, error.outcome, error.retryable) == (code, "refused", True)
    assert not codes.error_for(23000, "", endpoint="x").volume_quota
    unknown = codes.error_for(23000, words, endpoint="x", http_status=502)
    assert type(unknown) is errors.VenueUnavailableError


def test_documented_words_stand_in_for_missing_ones():
    name, words = CODE_TABLE[21104]
    assert codes.error_for(21104, "", endpoint="").message == (words or name)
    assert codes.code_message(21104) == words
    assert codes.code_name(21104) == name
    assert codes.error_for(1, "", endpoint="").message == "Unknown"
    assert codes.code_message(1) == ""
    assert codes.code_name(1) == "Unknown"


def test_every_documented_code_becomes_a_venue_error_with_words():
    for code in CODE_TABLE:
        error = codes.error_for(code, "", endpoint="")
        assert isinstance(error, errors.VenueError)
        assert error.message


def test_no_code_belongs_to_two_families():
    families = [
        codes.NONCE_CODES,
        codes.AUTH_CODES,
        codes.GONE_CODES,
        codes.RATE_CODES,
        codes.UNAVAILABLE_CODES,
    ]
    assert sum(map(len, families)) == len(frozenset().union(*families))


def test_words_of_enumerations_stand_at_their_numbers():
    assert codes.ORDER_TYPE_WORDS[0] == "limit"
    assert codes.ORDER_TYPE_WORDS[6] == "twap"
    assert codes.TIME_IN_FORCE_WORDS == (
        "immediate-or-cancel",
        "good-till-time",
        "post-only",
    )
