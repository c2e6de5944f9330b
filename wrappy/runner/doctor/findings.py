"""What a doctor finds: a grade, what is so, and what to do about it."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Grade(enum.Enum):
    """How bad it is."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        check: its short name.
        grade: how bad it is; only a FAIL keeps a bot from running well.
        words: what is so, one line.
        fix: what to do, one line; empty where nothing is to be done.
    """

    check: str
    grade: Grade
    words: str
    fix: str = ""

    def as_json(self) -> dict[str, str]:
        """Return it as plain values."""
        return {
            "check": self.check,
            "grade": self.grade.value,
            "words": self.words,
            "fix": self.fix,
        }


def fine(check: str, words: str) -> Finding:
    """Return that nothing is wrong."""
    return Finding(check, Grade.OK, words)


def warning(check: str, words: str, fix: str) -> Finding:
    """Return that somebody should look."""
    return Finding(check, Grade.WARN, words, fix)


def failure(check: str, words: str, fix: str) -> Finding:
    """Return that this has to be put right first."""
    return Finding(check, Grade.FAIL, words, fix)


def worst(findings: Iterable[Finding]) -> Grade:
    """Return the worst grade; OK for none."""
    grades = {finding.grade for finding in findings}
    for grade in (Grade.FAIL, Grade.WARN):
        if grade in grades:
            return grade
    return Grade.OK
