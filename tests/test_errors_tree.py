"""The exceptions are what their table says."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from wrappy import errors

ROW = re.compile(r"^(?P<lead>[ │├└─]*)(?P<name>\w+Error)(?:\s+(?P<outcome>\w+))?")


def documented():
    """Return (name, parent, outcome) of every row of the module's table."""
    rows = []
    above: list[tuple[int, str]] = []
    table = errors.__doc__.split("::", 1)[1]
    for line in table.splitlines():
        match = ROW.match(line)
        if match is None:
            continue
        depth = len(match["lead"])
        above = [(at, name) for at, name in above if at < depth]
        parent = above[-1][1] if above else None
        rows.append((match["name"], parent, match["outcome"]))
        above.append((depth, match["name"]))
    return rows


TABLE = documented()
CLASSES = {
    name: value
    for name, value in vars(errors).items()
    if inspect.isclass(value) and issubclass(value, BaseException)
}


def test_the_table_lists_every_exception_once():
    names = [name for name, _, _ in TABLE]
    assert sorted(names) == sorted(CLASSES)


@pytest.mark.parametrize(("name", "parent", "outcome"), TABLE)
def test_a_row_tells_the_truth(name, parent, outcome):
    kind = CLASSES[name]
    if parent is None:
        assert kind is errors.WrappyError
        assert outcome is None
        return
    assert CLASSES[parent] in kind.__bases__
    assert kind.outcome == outcome


@pytest.mark.parametrize("kind", CLASSES.values(), ids=CLASSES)
def test_every_class_says_what_may_have_happened(kind):
    assert kind.outcome in ("not_sent", "refused", "unknown")
    assert isinstance(kind.retryable, bool)
    assert inspect.getdoc(kind)


def test_only_what_never_left_or_was_refused_or_can_be_asked_again_is_retryable():
    assert not errors.SendOutcomeUnknownError.retryable
    assert not errors.OrderRejectedError.retryable
    assert not errors.OrderDeniedError.retryable
    assert errors.NonceRejectedError.retryable
    assert errors.ConnectError.retryable
    assert errors.BookGapError.retryable


def test_errors_carry_what_a_handler_needs():
    venue = errors.VenueError(21104, "invalid nonce", "/api/v1/sendTx")
    assert str(venue) == "21104 invalid nonce (/api/v1/sendTx)"
    assert str(errors.VenueError(400, "no")) == "400 no"
    assert (venue.code, venue.message) == (21104, "invalid nonce")
    assert errors.RateLimitedError(429, "slow").retry_after_s is None

    order = errors.InvalidOrderError("price", -1, "must be above zero")
    assert str(order) == order.reason == "price: -1 must be above zero"
    assert (order.field, order.value) == ("price", -1)
    assert isinstance(order, ValueError)

    used = errors.KeyInUseError(65, 5, pid=7, path=Path("/state/key.lock"))
    assert (used.pid, used.path) == (7, Path("/state/key.lock"))
    assert str(used).startswith("api_key_index: 5 of account 65 is in use by process 7")
    assert isinstance(used, errors.ConfigError)

    full = errors.JournalError(Path("/state/j"), "cannot be written", "make room")
    assert full.path == Path("/state/j")
    assert str(full) == "journal: /state/j: cannot be written; make room"

    lost = errors.SendOutcomeUnknownError([5, 6], ["ab", "cd"])
    assert lost.client_order_indices == (5, 6)
    assert lost.tx_hashes == ("ab", "cd")
    assert "2 transaction(s)" in str(lost)


def test_builtin_families_can_be_caught_as_such():
    assert issubclass(errors.ConfigError, ValueError)
    assert issubclass(errors.UsageError, RuntimeError)
