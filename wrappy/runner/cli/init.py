"""`wrappy init`: asks for what a bot needs and writes it down, the key apart."""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from wrappy.errors import ConfigError
from wrappy.lighter.config import NETWORKS as ADDRESSES
from wrappy.lighter.config import ApiKeyConfig
from wrappy.runner.command import FAILED, INTERRUPTED
from wrappy.runner.settings.loading import example_names

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")

NETWORKS: Final = (
    ("venue", "a local exchange on this machine, made-up money"),
    ("paper", "the real market, orders matched here, made-up money"),
    ("testnet", ADDRESSES["testnet"].removeprefix("https://")),
    ("mainnet", f"{ADDRESSES['mainnet'].removeprefix('https://')}, real money"),
)
RISKS: Final = """\
Automatic trading can lose money, all of it, faster than a person can react.
A program does what it was told, not what was meant; exchanges and networks fail.
Try it on the local exchange and on paper first, and begin with small amounts.
"""
OWN: Final = "a strategy of your own"
TRIES: Final = 5
_SYMBOL: Final = re.compile(r"[A-Z0-9][A-Z0-9/_-]{0,30}")


def init(config: Path = Path("wrappy.toml"), *, key_file: Path | None = None) -> int:
    """Ask for network, key, strategy and market, and write a settings file.

    The key is not shown and not written into the settings, but into a file of its own
    that only you can read. Nothing is overwritten, and nothing is written before the
    risks are accepted.

    Args:
        config: the settings file to write.
        key_file: the key's file; beside the settings if not given.
    """
    key_path = key_file or config.with_suffix(".key.json")
    if config.suffix != ".toml":
        raise ConfigError(f"{config}: the settings file's name has to end in .toml")
    for path in (config, key_path):
        if os.path.lexists(path):
            raise ConfigError(f"{path}: is there already and is not overwritten")
    try:
        return _interview(config, key_path)
    except EOFError:
        sys.stdout.write("\nNothing was written.\n")
        return FAILED
    except KeyboardInterrupt:
        sys.stdout.write("\nNothing was written.\n")
        return INTERRUPTED


def _interview(config: Path, key_path: Path) -> int:
    sys.stdout.write("A bot for Lighter. Ctrl-C ends this without writing anything.\n")
    network = _choice("Network", [f"{name:<8} {what}" for name, what in NETWORKS])
    name = NETWORKS[network][0]
    keys: dict[str, object] | None = None
    if name in ("testnet", "mainnet"):
        keys = _keys()
    strategy = _strategy()
    symbol = _answer("Market (ETH): ", _symbol, default="ETH")
    sys.stdout.write(f"\nRisks\n{RISKS}")
    if not _yes("Do you accept them? (yes/no): "):
        sys.stdout.write("Nothing was written.\n")
        return FAILED
    text = settings_text(
        name, strategy, symbol, key_file=None if keys is None else key_path
    )
    if keys is not None:
        _write_private(key_path, json.dumps(keys, indent=2) + "\n")
        sys.stdout.write(f"The key is in {key_path}; only you can read it.\n")
    try:
        _write_private(config, text)
    except ConfigError:
        if keys is not None:
            key_path.unlink()
        raise
    live = " --live" if name == "mainnet" else ""
    sys.stdout.write(f"The settings are in {config}.\n")
    sys.stdout.write(f"Check them: wrappy doctor {config}\n")
    sys.stdout.write(f"Start: wrappy run {config}{live}\n")
    return 0


def settings_text(
    network: str, strategy: str, symbol: str, *, key_file: Path | None
) -> str:
    """Return the text of a settings file; it holds no secret."""
    lines = ["# Read by `wrappy run`. Keys do not belong here.", "[network]"]
    lines.append(f"name = {json.dumps(network)}")
    if key_file is not None:
        lines.append(f"key_file = {json.dumps(str(key_file.absolute()))}")
    lines += ["", "[[strategies]]", f"use = {json.dumps(strategy)}"]
    lines += [f"symbols = [{json.dumps(symbol)}]", "enabled = true", ""]
    return "\n".join(lines)


def _keys() -> dict[str, object]:
    """Ask for account and key; the key is not shown."""

    def account(text: str) -> int:
        return _whole(text, 1, (1 << 48) - 2)

    number = _answer("Account index: ", account)
    index = _answer("API key index (4 to 254): ", lambda text: _whole(text, 4, 254))

    def usable(text: str) -> str:
        return ApiKeyConfig(index, text.strip()).api_key_private_key

    key = _answer("API private key (not shown): ", usable, ask=getpass.getpass)
    return {
        "account_index": number,
        "api_key_index": index,
        "api_key_private_key": key,
    }


def _strategy() -> str:
    names = [*example_names(), OWN]
    picked = names[_choice("Strategy", names)]
    if picked != OWN:
        return picked
    return _answer("Its place (path.py:Class or module:Class): ", _place)


def _choice(what: str, choices: Sequence[str]) -> int:
    sys.stdout.write(f"\n{what}\n")
    for number, words in enumerate(choices, 1):
        sys.stdout.write(f"  {number}) {words}\n")
    prompt = f"Choose (1-{len(choices)}): "
    return _answer(prompt, lambda text: _whole(text, 1, len(choices))) - 1


def _whole(text: str, low: int, high: int) -> int:
    if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        raise ConfigError(f"give a whole number from {low} to {high}")
    return int(text)


def _symbol(text: str) -> str:
    if not _SYMBOL.fullmatch(text.upper()):
        raise ConfigError("give a market's name, such as ETH")
    return text.upper()


def _place(text: str) -> str:
    if not re.fullmatch(r"[^\s:\"']+:[A-Za-z_]\w*", text):
        raise ConfigError("give path.py:Class or module:Class")
    return text


def _yes(prompt: str) -> bool:
    """Return whether somebody typed yes; anything else is a no."""
    return input(prompt).strip().lower() == "yes"


def _answer(
    prompt: str,
    read: Callable[[str], T],
    *,
    default: str | None = None,
    ask: Callable[[str], str] = input,
) -> T:
    """Ask until the answer can be used, a few times at most."""
    for _ in range(TRIES):
        text = ask(prompt).strip() or (default or "")
        try:
            return read(text)
        except ConfigError as error:
            sys.stdout.write(f"  {error}\n")
    raise ConfigError("no answer could be used; nothing was written")


def _write_private(path: Path, text: str) -> None:
    """Write a new file that its owner alone can read.

    Raises:
        ConfigError: it is there already, or cannot be written.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        descriptor = os.open(path, flags, 0o600)
    except FileExistsError as error:
        raise ConfigError(f"{path}: is there already and is not overwritten") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        with contextlib.suppress(OSError):
            path.unlink()
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from error
