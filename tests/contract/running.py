"""A venue on a loop of its own, for clients that block their caller's thread."""

from __future__ import annotations

import asyncio
import pathlib
import platform
import threading
import time

from wrappy.venue import Venue

DEADLINE_S = 10.0


class ThreadedVenue:
    """Opens a venue for a `with` block."""

    def __init__(self, **settings):
        self.venue = Venue(**{"seed": 7, "symbols": ["ETH"], **settings})
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(
            DEADLINE_S
        )

    def ask(self, function, *arguments):
        """Call a function of the venue on the venue's own loop."""

        async def asked():
            return function(*arguments)

        return self.call(asked())

    def __enter__(self):
        self._thread.start()
        self.call(self.venue.start())
        return self

    def __exit__(self, *_):
        self.call(self.venue.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(DEADLINE_S)
        self._loop.close()


class Books:
    """What the ledger says of one account, with patience."""

    def __init__(self, venue, account=0):
        self.venue = venue
        self.owner = venue.accounts[account]
        self.index = self.owner.account_index
        self.mark = venue.exchange.markets[0].mark_price

    @property
    def state(self):
        return self.venue.exchange.accounts[self.index]

    def price(self, percent):
        """Return ticks at so many percent of what the mark price was at the start."""
        return self.mark * percent // 100

    def order(self, coi):
        found = (
            order
            for order in self.venue.ledger.orders(self.index)
            if order.client_order_index == coi
        )
        return next(found, None)

    async def when(self, coi, status):
        """Return an order once it has that status."""

        def there():
            order = self.order(coi)
            return order if order is not None and order.status == status else None

        return await eventually(there)


async def eventually(condition):
    deadline = time.monotonic() + DEADLINE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, "the venue never saw it"
        await asyncio.sleep(0)
    return found


def signer_library(lighter):
    """Return the path of the official signer's library for this machine."""
    machine = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
    system = platform.system().lower()
    ending = {"linux": "so", "darwin": "dylib", "windows": "dll"}[system]
    name = f"lighter-signer-{system}-{machine.get(platform.machine(), 'amd64')}"
    return pathlib.Path(lighter.__file__).parent / "signers" / f"{name}.{ending}"
