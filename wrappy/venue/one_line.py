"""Arguments of the venue's programs, refused in one line."""

from __future__ import annotations

import argparse
from typing import Final, NoReturn

BAD_ARGUMENTS: Final = 2
"""Exit code where an argument cannot work."""


class OneLineParser(argparse.ArgumentParser):
    """A parser that refuses in one line, without the usage in front.

    Whoever starts a program as a process can log it whole.
    """

    def error(self, message: str) -> NoReturn:
        """Tell what is wrong and end with `BAD_ARGUMENTS`."""
        self.exit(BAD_ARGUMENTS, f"{self.prog}: {message}\n")
