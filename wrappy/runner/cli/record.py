"""`wrappy record`: hands over to the recorder of the local exchange."""

from __future__ import annotations

from wrappy.venue.record import main


def record(*arguments: str) -> int:
    """Write what happens in markets to a file that a local exchange replays.

    The arguments are those of `python -m wrappy.venue record`; --help lists them.

    Args:
        arguments: address of the exchange, and flags.
    """
    return main(list(arguments))
