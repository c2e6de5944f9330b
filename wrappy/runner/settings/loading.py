"""Finds the classes of strategies: in a file, in a module, among the examples."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import inspect
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from wrappy.errors import ConfigError
from wrappy.runner.settings.tables import read_table
from wrappy.runner.strategy.strategy import Strategy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import ModuleType

    from wrappy.runner.settings.sections import BotSettings, StrategySection

PACKAGE: Final = Path(__file__).resolve().parents[2]

EXAMPLES: Final = (
    PACKAGE / "runner" / "examples",
    PACKAGE.parent / "examples" / "strategies",
)
"""Folders of the examples: of an installed package, and of its source."""


OVERRIDE: Final = "--set"
"""Begins what is wrong with a parameter that the command line says."""

_PREFIX: Final = "wrappy_strategy_"
"""Begins the name of a module that was loaded by its path."""

_neighbours: dict[str, Path] = {}
"""Modules that strategies' files have brought from their folders, by their names."""


def load_strategies(
    settings: BotSettings, *, overrides: Mapping[str, Any] | None = None
) -> list[tuple[str, Strategy[Any]]]:
    """Return every strategy that is to run, with its name, ready to be added.

    Args:
        settings: the file's.
        overrides: parameters that the command line says instead, for each of them.

    Raises:
        ConfigError: one cannot be found or made; the message names its place.
    """
    prefix = "" if settings.path is None else f"{settings.path.name}: "
    made = []
    for index, section in enumerate(settings.strategies):
        if not section.enabled:
            continue
        strategy = load_strategy(
            section,
            folder=settings.folder,
            where=f"{prefix}strategies[{index}]",
            overrides=overrides,
        )
        made.append((section.name or strategy.name(), strategy))
    return made


def load_strategy(
    section: StrategySection,
    *,
    folder: Path,
    where: str = "strategy",
    overrides: Mapping[str, Any] | None = None,
) -> Strategy[Any]:
    """Return the strategy that a section names, with its parameters.

    Args:
        section: which one, on which markets.
        folder: of the settings file; files have to lie in it or below it.
        where: the section's path, for errors.
        overrides: parameters that the command line says instead.

    Raises:
        ConfigError: it cannot be found or loaded, or its parameters cannot be.
    """
    kind = strategy_class(section.use, folder=folder, where=f"{where}.use")
    place, said = f"{where}.parameters", overrides or {}
    try:
        parameters = read_table(
            kind.parameters_type(), {**section.parameters, **said}, where=place
        )
    except ConfigError as error:
        words = str(error).removeprefix(f"{place}.")
        if re.split(r"\W", words, maxsplit=1)[0] in said:
            # It does not stand in the file.
            raise ConfigError(f"{OVERRIDE} {words}") from None
        raise
    try:
        return kind(parameters, symbols=section.symbols)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def strategy_file(kind: type[Strategy[Any]]) -> Path | None:
    """Return the file that a class was loaded from by its path.

    None for one that any process can import.
    """
    if not kind.__module__.startswith(_PREFIX):
        return None
    return Path(inspect.getfile(kind))


def reloaded(file: Path, name: str) -> type[Strategy[Any]]:
    """Return a class of a file, as another process has loaded it.

    The module gets the same name as there, so that what was pickled there is found.

    Raises:
        ConfigError: the file is not here, or has no such strategy.
    """
    return strategy_class(f"{file.name}:{name}", folder=file.parent, where=str(file))


def strategy_class(
    use: str, *, folder: Path, where: str = "use"
) -> type[Strategy[Any]]:
    """Return the class behind `path.py:Class`, `module:Class` or an example's name.

    Raises:
        ConfigError: there is none, or it lies outside the folder.
    """
    place, colon, name = use.rpartition(":")
    if not colon and use.endswith(".py"):
        return _only_class(_loaded_file(_inside(folder, use, where), where), where)
    if not colon:
        file = _example(use, where)
        return _only_class(_loaded_file(file, where), where)
    if place.endswith(".py"):
        module = _loaded_file(_inside(folder, place, where), where)
    else:
        module = _loaded_module(place, where)
    found = vars(module).get(name)
    if not (isinstance(found, type) and issubclass(found, Strategy)):
        known = ", ".join(kind.__name__ for kind in _classes(module)) or "none"
        raise ConfigError(
            f"{where}: {place} has no strategy called {name!r}; there are {known}"
        )
    return found


def example_names() -> list[str]:
    """Return the names of the examples that can be run."""
    return sorted(
        {
            file.stem
            for folder in EXAMPLES
            for file in folder.glob("*.py")
            if not file.stem.startswith("_")
        }
    )


def _example(name: str, where: str) -> Path:
    known = example_names()
    if name not in known:
        raise ConfigError(
            f"{where}: {name!r} is no example's name "
            f"({', '.join(known) or 'none here'}); a strategy of your own is named "
            "path.py:Class or module:Class"
        )
    files = (folder / f"{name}.py" for folder in EXAMPLES)
    return next(file for file in files if file.is_file())


def _inside(folder: Path, place: str, where: str) -> Path:
    """Return a file below the folder; a link or `..` must not lead out of it."""
    root = folder.resolve()
    file = (root / Path(place).expanduser()).resolve()
    if root != file and root not in file.parents:
        raise ConfigError(
            f"{where}: {place} lies outside {root}; keep strategies beside the "
            "settings file, or install them and write module:Class"
        )
    if not file.is_file():
        raise ConfigError(f"{where}: {place}: there is no such file in {root}")
    return file


def _loaded_file(file: Path, where: str) -> ModuleType:
    digest = hashlib.sha256(str(file).encode()).hexdigest()[:12]
    name = f"{_PREFIX}{file.stem}_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{where}: {file} cannot be loaded as Python")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up by its name.
    sys.modules[name] = module
    try:
        with _beside(file.parent):
            spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        raise _broken(file.name, where, error) from error
    return module


@contextlib.contextmanager
def _beside(folder: Path) -> Iterator[None]:
    """Let a file import what lies beside it, as `python path.py` does.

    What it imports later, while it runs, is looked for where every module is.
    """
    # Another folder's module of the same name is not this one's neighbour.
    strangers = {
        name: sys.modules.pop(name)
        for name, brought_by in _neighbours.items()
        if brought_by != folder and name in sys.modules and _has(folder, name)
    }
    before = set(sys.modules)
    path = str(folder)
    sys.path.insert(0, path)
    # A file that was written a moment ago is in no finder's memory.
    importlib.invalidate_caches()
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(path)
        news = set(sys.modules) - before
        _neighbours.update((name, folder) for name in news if _has(folder, name))
        for name, module in strangers.items():
            sys.modules.setdefault(name, module)


def _has(folder: Path, name: str) -> bool:
    return (folder / f"{name}.py").is_file() or (folder / name).is_dir()


def _loaded_module(name: str, where: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if not f"{name}.".startswith(f"{error.name}."):
            # It is there, and what it imports is not.
            raise _broken(name, where, error) from error
        raise ConfigError(
            f"{where}: there is no module {name!r} ({error.msg}); "
            "a file is named path.py:Class"
        ) from error
    except (ImportError, SyntaxError, ValueError, TypeError, AttributeError) as error:
        raise _broken(name, where, error) from error


def _broken(what: str, where: str, error: BaseException) -> ConfigError:
    words = " ".join(str(error).split())[:200]
    return ConfigError(
        f"{where}: {what} cannot be loaded: {type(error).__name__}: {words}"
    )


def _classes(module: ModuleType) -> list[type[Strategy[Any]]]:
    return [
        found
        for found in vars(module).values()
        if isinstance(found, type)
        and issubclass(found, Strategy)
        and found.__module__ == module.__name__
    ]


def _only_class(module: ModuleType, where: str) -> type[Strategy[Any]]:
    found = _classes(module)
    if len(found) != 1:
        names = ", ".join(kind.__name__ for kind in found) or "none"
        raise ConfigError(f"{where}: name the class, path.py:Class; there are {names}")
    return found[0]
