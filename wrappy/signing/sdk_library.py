"""The door to the official signer: its shared library, found, loaded and called.

The library ships inside the `lighter-sdk` distribution. Importing that package
costs more than a second, and nothing but the file is needed, so only its folder is
looked up.
"""

from __future__ import annotations

import ctypes
import importlib.util
import platform
from pathlib import Path
from typing import TYPE_CHECKING

from wrappy.errors import SignerError

if TYPE_CHECKING:
    from collections.abc import Sequence

_FILES = {
    ("Linux", "x86_64"): "lighter-signer-linux-amd64.so",
    ("Linux", "arm64"): "lighter-signer-linux-arm64.so",
    ("Darwin", "x86_64"): "lighter-signer-darwin-amd64.dylib",
    ("Darwin", "arm64"): "lighter-signer-darwin-arm64.dylib",
    ("Windows", "x86_64"): "lighter-signer-windows-amd64.dll",
}
_MACHINES = {"amd64": "x86_64", "aarch64": "arm64"}
_INSTEAD = "or sign with wrappy.signing.PythonSigner, which needs no library"

# Nothing is ever fetched from here: the library would only ask it for a nonce, and
# every call carries its own.
_INERT_URL = b"http://127.0.0.1:9"

_INT = ctypes.c_int
_LONG = ctypes.c_longlong
_BYTE = ctypes.c_uint8
_POINTER = ctypes.c_void_p


class _Order(ctypes.Structure):
    """One order of a group; its fields stand in wire order."""

    _fields_ = (
        ("market_index", _LONG),
        ("client_order_index", _LONG),
        ("base_amount", _LONG),
        ("price", ctypes.c_uint32),
        ("is_ask", _BYTE),
        ("order_type", _BYTE),
        ("time_in_force", _BYTE),
        ("reduce_only", _BYTE),
        ("trigger_price", ctypes.c_uint32),
        ("order_expiry", _LONG),
    )


# skip_nonce, nonce, api_key_index, account_index end every signing call but one.
_KEY = (_BYTE, _LONG, _INT, _LONG)
_NO_INTEGRATOR_NO_SELF_TRADE = (_LONG, _INT, _INT, _BYTE, _BYTE)
_ARGUMENTS = {
    "SignCreateOrder": (
        *(_LONG, _LONG, _LONG, _INT, _INT, _INT, _INT, _INT, _INT, _LONG),
        *_NO_INTEGRATOR_NO_SELF_TRADE,
        *_KEY,
    ),
    "SignCreateGroupedOrders": (
        *(_BYTE, ctypes.POINTER(_Order), _INT),
        *_NO_INTEGRATOR_NO_SELF_TRADE,
        *_KEY,
    ),
    "SignCancelOrder": (_LONG, _LONG, *_KEY),
    "SignModifyOrder": (
        *(_LONG, _LONG, _LONG, _LONG, _LONG),
        *_NO_INTEGRATOR_NO_SELF_TRADE,
        *(_BYTE, _LONG, _LONG, _INT, _LONG),
    ),
    "SignCancelAllOrders": (_INT, _LONG, _LONG, *_KEY),
    "SignUpdateLeverage": (_LONG, _INT, _INT, *_KEY),
    "SignUpdateMargin": (_LONG, _LONG, _INT, *_KEY),
}


class _SignedTxResponse(ctypes.Structure):
    _fields_ = (
        ("tx_type", ctypes.c_uint8),
        ("tx_info", _POINTER),
        ("tx_hash", _POINTER),
        ("message_to_sign", _POINTER),
        ("error", _POINTER),
    )


class _TextOrError(ctypes.Structure):
    _fields_ = (("text", _POINTER), ("error", _POINTER))


def order_list(orders: Sequence[Sequence[int]]) -> ctypes.Array[_Order]:
    """Return orders, ten numbers each, as the library's functions take them."""
    return (_Order * len(orders))(*(_Order(*order) for order in orders))


def library_path() -> Path:
    """Return the shared library's file for this platform.

    Raises:
        SignerError: none for this platform, or `lighter-sdk` is not installed.
    """
    machine = platform.machine().lower()
    key = (platform.system(), _MACHINES.get(machine, machine))
    if key not in _FILES:
        raise SignerError(
            f"the official signer has no library for {key[0]} on {key[1]}; use "
            f"Linux or macOS on x86_64 or arm64, Windows on x86_64, {_INSTEAD}"
        )
    spec = importlib.util.find_spec("lighter")
    folders = [] if spec is None else spec.submodule_search_locations or []
    for folder in folders:
        path = Path(folder) / "signers" / _FILES[key]
        if path.is_file():
            return path
    raise SignerError(
        f"the official signer ({_FILES[key]}) was not found; install it with "
        f"`pip install lighter-sdk`, {_INSTEAD}"
    )


class OfficialLibrary:
    """The library's functions, with its strings copied and freed.

    Args:
        path: file of the shared library.

    Raises:
        SignerError: the file cannot be loaded.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._library = ctypes.CDLL(str(path))
        except OSError as error:
            raise SignerError(
                f"the official signer cannot be loaded here ({error}); reinstall "
                f"lighter-sdk, {_INSTEAD}"
            ) from error
        self._functions = {name: self._library[name] for name in _ARGUMENTS}
        for name, function in self._functions.items():
            function.argtypes = _ARGUMENTS[name]
            function.restype = _SignedTxResponse
        self._library.CreateClient.argtypes = (
            *(ctypes.c_char_p, ctypes.c_char_p, _INT, _INT, _LONG),
        )
        self._library.CreateClient.restype = _POINTER
        self._library.CreateAuthToken.argtypes = (_LONG, _INT, _LONG)
        self._library.CreateAuthToken.restype = _TextOrError
        self._library.Free.argtypes = (_POINTER,)
        self._library.Free.restype = None

    def register(
        self,
        private_key: str,
        *,
        chain_id: int,
        api_key_index: int,
        account_index: int,
    ) -> None:
        """Tell the library the key of an account, in place of an earlier one.

        Raises:
            SignerError: the library refuses; in its words.
        """
        error = self._library.CreateClient(
            _INERT_URL, private_key.encode(), chain_id, api_key_index, account_index
        )
        self._raise(self._take(error))

    def sign(self, function: str, arguments: Sequence[object]) -> tuple[str, str]:
        """Call a signing function; return the transaction's text and hash.

        Raises:
            SignerError: the library refuses; in its words.
        """
        answer: _SignedTxResponse = self._functions[function](*arguments)
        tx_info = self._take(answer.tx_info)
        tx_hash = self._take(answer.tx_hash)
        self._take(answer.message_to_sign)
        self._raise(self._take(answer.error))
        return tx_info, tx_hash

    def auth_token(
        self, *, deadline_s: int, api_key_index: int, account_index: int
    ) -> str:
        """Return an auth token.

        Raises:
            SignerError: the library refuses; in its words.
        """
        answer: _TextOrError = self._library.CreateAuthToken(
            deadline_s, api_key_index, account_index
        )
        token = self._take(answer.text)
        self._raise(self._take(answer.error))
        return token

    def _take(self, pointer: int | None) -> str:
        """Copy a string of the library and give its memory back."""
        if not pointer:
            return ""
        try:
            return ctypes.string_at(pointer).decode()
        finally:
            self._library.Free(pointer)

    @staticmethod
    def _raise(message: str) -> None:
        if message:
            raise SignerError(f"the official signer refused: {message}")
