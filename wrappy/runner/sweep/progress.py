"""How far a sweep is, for who watches it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, final

from wrappy.errors import ConfigError

if TYPE_CHECKING:
    from types import TracebackType

    from wrappy.runner.sweep.result import Trial


class SweepProgress(Protocol):
    """Is told what happens in a sweep."""

    def begin(self, label: str, total: int) -> None:
        """Take what begins, and how many trials it has."""
        ...

    def ended(self, trial: Trial, best: float | None) -> None:
        """Take a trial that is over, and the best value so far."""
        ...

    def note(self, words: str) -> None:
        """Take something to know."""
        ...


class NoProgress:
    """Says nothing."""

    def begin(self, label: str, total: int) -> None:
        """Do nothing."""

    def ended(self, trial: Trial, best: float | None) -> None:
        """Do nothing."""

    def note(self, words: str) -> None:
        """Do nothing."""


@final
class RichProgress:
    """Bars on the terminal, one for each sweep.

    Use it as a context manager. Where nobody sees it, in a file or a pipe, it writes
    the last state only.

    Args:
        console: a `rich.console.Console`; None for standard error.

    Raises:
        ConfigError: rich is not installed.
    """

    def __init__(self, console: Any = None) -> None:
        try:
            from rich import console as consoles  # noqa: PLC0415 - may be missing
            from rich import progress  # noqa: PLC0415
        except ImportError as error:
            raise ConfigError(
                "progress: rich is not installed; pip install 'wrappy-lighter[bot]'"
            ) from error
        self._bars = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TextColumn("best {task.fields[best]}"),
            progress.TextColumn("{task.fields[failed]}", style="red"),
            progress.TimeElapsedColumn(),
            progress.TimeRemainingColumn(),
            console=console or consoles.Console(stderr=True),
        )
        self._task = progress.TaskID(0)
        self._failed = 0

    def __enter__(self) -> RichProgress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bars.live.is_started:
            self._bars.stop()

    def begin(self, label: str, total: int) -> None:
        """Show a new bar."""
        # Not before: what is refused at the beginning is told on a clean line.
        self._bars.start()
        self._failed = 0
        self._task = self._bars.add_task(label, total=total, best="-", failed="")

    def ended(self, trial: Trial, best: float | None) -> None:
        """Move the bar on."""
        self._failed += trial.state != "done"
        self._bars.update(
            self._task,
            advance=1,
            best="-" if best is None else f"{best:.3f}",
            failed=f"{self._failed} failed" if self._failed else "",
        )

    def note(self, words: str) -> None:
        """Write a line above the bars."""
        self._bars.console.print(words, markup=False, highlight=False)
