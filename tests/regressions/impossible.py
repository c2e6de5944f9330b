"""Rows of the list of defects that the design leaves no room for."""

from __future__ import annotations

IMPOSSIBLE: dict[str, str] = {
    "D24": "No public call tells a nonce: they are taken by the sender alone, after "
    "everything else, so that nobody can keep a number of their own.",
    "D39": "There is one way to sign and one to send: every order of every kind is an "
    "intent that goes through the same queue, so that no second path can rot.",
    "D49": "A missing suite is no behaviour: tests, strict types and documentation "
    "are required by every run of the checks, this suite included.",
}
"""One sentence each: why the defect cannot be written here."""
