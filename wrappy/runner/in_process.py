"""The local exchange in the client's own event loop: no sockets in between.

The same JSON bytes go both ways as over the network, with travel times and losses,
and what fails fails with the same exceptions. In a `VirtualLoop` a year of it takes
no longer than its events.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from wrappy.errors import (
    ConfigError,
    ConnectError,
    RateLimitedError,
    RequestTimeoutError,
    StreamClosedError,
    TransportError,
    UsageError,
)
from wrappy.lighter.simulation import SimulatedSigner, simulated_environment
from wrappy.lighter.wire.transport import read_body
from wrappy.lighter.wire.within import within
from wrappy.runner.pipes import End, Pipe, ServerSide
from wrappy.runner.virtual_time import DEFAULT_EPOCH_S, VirtualLoop
from wrappy.venue.clocks import LoopClock
from wrappy.venue.engine import Engine
from wrappy.venue.exchange import Refused
from wrappy.venue.messages import Answer, Lost, Question
from wrappy.venue.sessions import asks_readonly
from wrappy.venue.settings import VenueSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence
    from types import TracebackType

    from wrappy.lighter.environment import Environment
    from wrappy.model import Market
    from wrappy.venue.accounts import VenueAccount
    from wrappy.venue.faults import Faults
    from wrappy.venue.flow import Flow
    from wrappy.venue.ledger import EventLog

_IP: Final = "127.0.0.1"
_ABNORMAL: Final = 1006
_PATIENCE_S: Final = 1.0
_MOST_TRAVEL_MS: Final = 600_000
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class TravelTimes:
    """How long messages are on their way: evenly drawn between two bounds, in ms.

    Attributes:
        request_ms: from the client to the exchange.
        reply_ms: from the exchange to the client.

    Raises:
        ConfigError: bounds that are none.
    """

    request_ms: tuple[int, int] = (0, 0)
    reply_ms: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        for name in ("request_ms", "reply_ms"):
            low, high = getattr(self, name)
            if not 0 <= low <= high <= _MOST_TRAVEL_MS:
                raise ConfigError(
                    f"{name}: {(low, high)} are no bounds in 0..{_MOST_TRAVEL_MS}, "
                    "lower one first"
                )


class InProcessExchange:
    """A local exchange that clients reach through `environment`, without sockets.

        async def main():
            async with InProcessExchange(seed=1) as exchange:
                dealer = await LighterDealer.create(
                    config, environment=exchange.environment
                )

        run_virtual(main)

    It is made inside a running event loop, whose time it follows; in a
    `VirtualLoop` nothing waits for the world.

    Args:
        settings: how the exchange is set up; signatures are not checked unless they
            say so.
        travel: how long messages are on their way.
        signer: what clients sign with; `null` needs `verify=False`.
        flow: market life of your own instead of the settings'.
        keeps_alive: whether clients ping, take a silent stream for broken and renew
            tokens of private channels; without it `settings` should let idle
            connections live.
        repeats: whether what clients draw, and the numbers of their orders, are the
            same in every run with the settings' seed; they then keep no files.
        markets: facts of the settings' symbols, in place of the bundled ones.
        epoch_s: unix seconds when the loop's clock was 0; None for a virtual loop's
            own, and a fixed one in any other.

    Raises:
        ConfigError: empty signatures at an exchange that checks them.
        UsageError: no event loop is running.
    """

    def __init__(
        self,
        settings: VenueSettings | None = None,
        *,
        travel: TravelTimes | None = None,
        signer: SimulatedSigner = "null",
        flow: Flow | None = None,
        repeats: bool = False,
        keeps_alive: bool = True,
        markets: Sequence[Market] | None = None,
        epoch_s: float | None = None,
    ) -> None:
        settings = settings or VenueSettings(verify=False)
        if settings.verify and signer == "null":
            raise ConfigError(
                "signer: 'null' leaves signatures empty, but verify is on; give "
                "signer='python' or VenueSettings(verify=False)"
            )
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            raise UsageError(
                "an in-process exchange is made inside a running event loop"
            ) from None
        loop = self._loop
        if epoch_s is None:
            epoch_s = loop.epoch_s if isinstance(loop, VirtualLoop) else DEFAULT_EPOCH_S
        self._epoch_s = epoch_s
        self.engine = Engine(
            settings=settings,
            flow=flow,
            clock=LoopClock(self._loop.time, epoch_s=self._epoch_s),
            markets=markets,
        )
        travel = travel or TravelTimes()
        # A text seeds alike in every process, whatever hashes there.
        chance = random.Random(f"{settings.seed}/travel")
        self.request_s = partial(_drawn, chance, *travel.request_ms)
        self.reply_s = partial(_drawn, chance, *travel.reply_ms)
        self.is_open = False
        self._base_url = f"http://exchange-{next(_numbers)}.invalid"
        # In order of their start, which a set would not keep.
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self._environment = simulated_environment(
            unix_s=self._unix_s,
            open_rest=self._open_rest,
            open_stream=self._open_stream,
            signer=signer,
            seed=settings.seed if repeats else None,
            keeps_alive=keeps_alive,
        )

    # ------------------------------------------------------------------- facts

    @property
    def environment(self) -> Environment:
        """What a client needs to live here: `create(config, environment=...)`."""
        return self._environment

    @property
    def base_url(self) -> str:
        """Address to put into a client's settings; nothing listens there."""
        return self._base_url

    @property
    def chain_id(self) -> int:
        """Chain id that transactions must be signed for."""
        return self.engine.chain_id

    @property
    def accounts(self) -> tuple[VenueAccount, ...]:
        """User accounts with their keys."""
        return self.engine.accounts

    @property
    def ledger(self) -> EventLog:
        """Everything that happened, as the exchange saw it."""
        return self.engine.ledger

    @property
    def faults(self) -> Faults:
        """What goes wrong; add rules to it."""
        return self.engine.faults

    def _unix_s(self) -> float:
        return self._epoch_s + self._loop.time()

    # ---------------------------------------------------------------- lifetime

    async def __aenter__(self) -> InProcessExchange:  # noqa: PYI034 - typing.Self needs 3.11
        await self.engine.start()
        self.is_open = True
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection and end; requests on their way are lost."""
        self.is_open = False
        try:
            await self.engine.aclose()
        finally:
            if self._tasks:
                await asyncio.wait(tuple(self._tasks), timeout=_PATIENCE_S)
            for task in tuple(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run something on the exchange's side until it ends or the exchange does."""
        task = self._loop.create_task(work)
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)
        return task

    # -------------------------------------------------------------- connections

    def _open_rest(
        self,
        base_url: str,
        *,
        timeout_s: float = 10.0,
        on_throttled: Callable[[float | None], None] | None = None,
    ) -> _RestConnection:
        self._check_address(base_url, self._base_url)
        return _RestConnection(self, timeout_s, on_throttled)

    def _open_stream(
        self,
        url: str,
        *,
        timeout_s: float = 10.0,
        compress: bool = True,  # noqa: ARG002 - nothing is on a wire
    ) -> _StreamConnection:
        address, _, query = url.partition("?")
        self._check_address(address, f"ws{self._base_url.removeprefix('http')}/stream")
        readonly = asks_readonly(dict(parse_qsl(query)))
        return _StreamConnection(self, timeout_s, readonly=readonly)

    def _check_address(self, asked: str, own: str) -> None:
        if asked != own:
            raise ConfigError(
                f"base_url: {asked} is not this exchange's; give {self._base_url}"
            )


def _drawn(chance: random.Random, low_ms: int, high_ms: int) -> float:
    if low_ms == high_ms:
        return low_ms / 1_000
    return chance.randint(low_ms * 1_000, high_ms * 1_000) / 1_000_000


class _RestConnection:
    """`environment.RestConnection` to an exchange in the same process."""

    def __init__(
        self,
        exchange: InProcessExchange,
        timeout_s: float,
        on_throttled: Callable[[float | None], None] | None,
    ) -> None:
        self._exchange = exchange
        self._timeout_s = timeout_s
        self._on_throttled = on_throttled
        self._closed = False

    async def get(
        self,
        path: str,
        params: Mapping[str, str | int] | None = None,
        *,
        token: str | None = None,
    ) -> dict[str, Any]:
        query = {name: str(value) for name, value in (params or {}).items()}
        return await self._ask(Question("GET", path, query, {}, token or "", _IP))

    async def post_form(self, path: str, form: str) -> dict[str, Any]:
        fields = dict(parse_qsl(form, keep_blank_values=True))
        return await self._ask(Question("POST", path, {}, fields, "", _IP))

    async def aclose(self) -> None:
        self._closed = True

    async def _ask(self, question: Question) -> dict[str, Any]:
        if self._closed:
            raise ConnectError("the connection was closed here; nothing was sent")
        if not self._exchange.is_open:
            raise ConnectError(f"no connection for {question.path}: nobody there")
        found = await self._exchanged(question)
        try:
            return read_body(
                found.body,
                status=found.status,
                endpoint=question.path,
                retry_after=found.retry_after,
            )
        except RateLimitedError as error:
            if self._on_throttled is not None and not error.volume_quota:
                self._on_throttled(error.retry_after_s)
            raise

    async def _exchanged(self, question: Question) -> Answer:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()
        timer = loop.call_later(self._timeout_s, _run_out, answer, question.path)
        # The exchange goes on with a request whose client has given up.
        task = self._exchange.start(self._handled(question))
        task.add_done_callback(partial(self._answered, answer, question.path))
        try:
            return await answer
        finally:
            timer.cancel()

    async def _handled(self, question: Question) -> Answer | Lost:
        travel_s = self._exchange.request_s()
        if travel_s:
            await asyncio.sleep(travel_s)
        return await self._exchange.engine.answers.handle(question)

    def _answered(
        self,
        answer: asyncio.Future[Answer],
        path: str,
        task: asyncio.Task[Answer | Lost],
    ) -> None:
        if task.cancelled():
            _deliver(answer, path, Lost.HUNG_UP)
            return
        outcome = task.exception() or task.result()
        ending = self._exchange.engine.answers.concluded(outcome)
        travel_s = self._exchange.reply_s()
        if travel_s:
            task.get_loop().call_later(travel_s, _deliver, answer, path, ending)
        else:
            _deliver(answer, path, ending)


def _run_out(answer: asyncio.Future[Answer], path: str) -> None:
    if not answer.done():
        answer.set_exception(RequestTimeoutError(f"no answer from {path} in time"))


def _deliver(answer: asyncio.Future[Answer], path: str, ending: Answer | Lost) -> None:
    if answer.done() or ending is Lost.STALLED:
        return
    if isinstance(ending, Answer) and not ending.cut:
        answer.set_result(ending)
    else:
        answer.set_exception(TransportError(f"{path}: the connection was closed"))


class _StreamConnection:
    """`environment.StreamConnection` to an exchange in the same process."""

    def __init__(
        self, exchange: InProcessExchange, timeout_s: float, *, readonly: bool
    ) -> None:
        self._exchange = exchange
        self._timeout_s = timeout_s
        self._readonly = readonly
        self._pipes: tuple[Pipe, Pipe] | None = None
        self._ended = False

    @property
    def is_open(self) -> bool:
        return self._pipes is not None and not self._ended

    async def connect(self) -> None:
        await self.disconnect()
        try:
            await within(self._timeout_s, self._shake_hands())
        except asyncio.TimeoutError as error:
            raise ConnectError("no answer to the handshake in time") from error

    async def _shake_hands(self) -> None:
        exchange = self._exchange
        travel_s = exchange.request_s() + exchange.reply_s()
        if travel_s:
            await asyncio.sleep(travel_s)
        if not exchange.is_open:
            raise ConnectError("no connection for the stream: nobody there")
        try:
            exchange.engine.sessions.admit(_IP)
        except Refused as error:
            raise ConnectError(
                f"the handshake was refused with {error.code}"
            ) from error
        up, down = Pipe(exchange.request_s), Pipe(exchange.reply_s)
        exchange.start(self._served(ServerSide(up, down), down))
        self._pipes, self._ended = (up, down), False

    async def _served(self, socket: ServerSide, down: Pipe) -> None:
        sessions = self._exchange.engine.sessions
        if await sessions.serve(socket, ip=_IP, readonly=self._readonly):
            down.put(End(_ABNORMAL))

    async def send(self, frame: bytes) -> None:
        if self._pipes is None:
            raise StreamClosedError("the stream is not connected")
        if self._ended:
            raise StreamClosedError("the stream is gone")
        self._pipes[0].put(frame.decode())

    async def receive(self, timeout_s: float | None) -> bytes | None:
        if self._pipes is None:
            raise StreamClosedError("the stream is not connected")
        frame = await self._pipes[1].get(timeout_s)
        if isinstance(frame, End):
            self._ended = True
            raise StreamClosedError(f"the stream ended with {frame.code}")
        return frame.encode() if isinstance(frame, str) else frame

    async def disconnect(self) -> None:
        pipes, self._pipes = self._pipes, None
        if pipes is not None:
            pipes[0].put(End(_ABNORMAL))

    async def aclose(self) -> None:
        await self.disconnect()
