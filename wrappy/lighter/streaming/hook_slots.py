"""The `on_...` attributes of an overlay: assigning one hooks a function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from wrappy.lighter.streaming.hooks import HookHub

    Hook: TypeAlias = Callable[[Any], Any]


class Hooked(Protocol):
    """What has such attributes."""

    _hooks: HookHub


class HookSlot:
    """An attribute whose value is called for the event that it is named after.

    Assigning replaces what was assigned before, None takes it away. Functions that
    `add_hook` added are not touched.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._event = name

    def __get__(self, owner: Hooked | None, kind: type | None = None) -> Any:
        """Return the assigned function, None if there is none."""
        return self if owner is None else owner._hooks.assigned(self._event)  # noqa: SLF001 - the slot is a part of its owner

    def __set__(self, owner: Hooked, hook: Hook | None) -> None:
        """Have a function called, or none."""
        owner._hooks.assign(self._event, hook)  # noqa: SLF001 - same
