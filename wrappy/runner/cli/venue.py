"""`wrappy venue`: hands over to the local exchange's own command line."""

from __future__ import annotations

from wrappy.venue.__main__ import main


def venue(*arguments: str) -> int:
    """Run the local exchange: real protocol, made-up money.

    The arguments are those of `python -m wrappy.venue`; --help lists them.

    Args:
        arguments: flags, or `replay LOG`.
    """
    return main(list(arguments))
