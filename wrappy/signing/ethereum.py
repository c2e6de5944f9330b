"""Wallet signatures of the base chain: whose address signed a text.

Keccak-256 and secp256k1, as far as personal messages (EIP-191) need them: an address
from a private key, and the address that a signature was made with. Nothing is signed
here. The arithmetic is plain and slow, a few milliseconds a call, and takes a time
that depends on its numbers: use it with made-up keys and with public signatures only.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

_FIELD: Final = 2**256 - 2**32 - 977
_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_BASE: Final = (
    0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
    0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
)
_COEFFICIENT: Final = 7

_LANE: Final = 2**64 - 1
_RATE_BYTES: Final = 136
_ROUNDS: Final = 24
_SIGNATURE_BYTES: Final = 65
_KEY_DIGITS: Final = 64
_ADDRESS_DIGITS: Final = 40
_FIRST_RECOVERY_ID: Final = 27

_Jacobian = tuple[int, int, int]


def _round_constants() -> tuple[int, ...]:
    # From the linear feedback register of the standard, so that no table can be off.
    constants, register = [], 1
    for _ in range(_ROUNDS):
        constant = 0
        for power in range(7):
            if register & 1:
                constant |= 1 << ((1 << power) - 1)
            register = (register << 1) ^ (0x171 if register & 0x80 else 0)
        constants.append(constant)
    return tuple(constants)


def _lane_moves() -> tuple[tuple[int, int, int], ...]:
    # (from, to, rotation) of the rho and pi steps together; lanes count x + 5 y.
    moves, x, y = [(0, 0, 0)], 1, 0
    for step in range(_ROUNDS):
        turned = (y, (2 * x + 3 * y) % 5)
        rotation = (step + 1) * (step + 2) // 2 % 64
        moves.append((x + 5 * y, turned[0] + 5 * turned[1], rotation))
        x, y = turned
    return tuple(moves)


_CONSTANTS: Final = _round_constants()
_MOVES: Final = _lane_moves()


def _turned(lane: int, by: int) -> int:
    return (lane << by | lane >> (64 - by)) & _LANE


def _permute(lanes: list[int]) -> list[int]:
    for constant in _CONSTANTS:
        columns = [
            lanes[x] ^ lanes[x + 5] ^ lanes[x + 10] ^ lanes[x + 15] ^ lanes[x + 20]
            for x in range(5)
        ]
        mixed = [columns[x - 1] ^ _turned(columns[(x + 1) % 5], 1) for x in range(5)]
        moved = [0] * 25
        for source, target, by in _MOVES:
            moved[target] = _turned(lanes[source] ^ mixed[source % 5], by)
        lanes = [
            moved[i]
            ^ (~moved[i // 5 * 5 + (i + 1) % 5] & moved[i // 5 * 5 + (i + 2) % 5])
            for i in range(25)
        ]
        lanes[0] ^= constant
    return lanes


def keccak_256(data: bytes) -> bytes:
    """Return the base chain's hash of `data`, 32 bytes; it is not SHA3-256."""
    padded = bytearray(data + b"\x01")
    padded += bytes(-len(padded) % _RATE_BYTES)
    padded[-1] |= 0x80
    lanes = [0] * 25
    for start in range(0, len(padded), _RATE_BYTES):
        for i in range(_RATE_BYTES // 8):
            at = start + 8 * i
            lanes[i] ^= int.from_bytes(padded[at : at + 8], "little")
        lanes = _permute(lanes)
    return b"".join(lane.to_bytes(8, "little") for lane in lanes[:4])


def _doubled(point: _Jacobian) -> _Jacobian:
    x, y, z = point  # no point of this curve has y = 0
    square = y * y % _FIELD
    s = 4 * x * square % _FIELD
    m = 3 * x * x % _FIELD
    new_x = (m * m - 2 * s) % _FIELD
    new_y = (m * (s - new_x) - 8 * square * square) % _FIELD
    return new_x, new_y, 2 * y * z % _FIELD


def _added(one: _Jacobian, other: _Jacobian) -> _Jacobian:
    # Only the first may be the neutral point, whose z is 0.
    if not one[2]:
        return other
    (x1, y1, z1), (x2, y2, z2) = one, other
    zz1, zz2 = z1 * z1 % _FIELD, z2 * z2 % _FIELD
    u1, u2 = x1 * zz2 % _FIELD, x2 * zz1 % _FIELD
    s1, s2 = y1 * z2 * zz2 % _FIELD, y2 * z1 * zz1 % _FIELD
    if u1 == u2:
        return _doubled(one) if s1 == s2 else (0, 0, 0)
    h, r = u2 - u1, s2 - s1
    hh = h * h % _FIELD
    hhh = h * hh % _FIELD
    v = u1 * hh % _FIELD
    x3 = (r * r - hhh - 2 * v) % _FIELD
    return x3, (r * (v - x3) - s1 * hhh) % _FIELD, h * z1 * z2 % _FIELD


def _times(point: tuple[int, int], scalar: int) -> _Jacobian:
    result, step = (0, 0, 0), (*point, 1)
    while scalar:
        if scalar & 1:
            result = _added(result, step)
        step = _doubled(step)
        scalar >>= 1
    return result


def _address(point: _Jacobian) -> str:
    inverse = pow(point[2], -1, _FIELD)
    x = point[0] * inverse**2 % _FIELD
    y = point[1] * inverse**3 % _FIELD
    digest = keccak_256(x.to_bytes(32, "big") + y.to_bytes(32, "big"))
    return "0x" + digest[-_ADDRESS_DIGITS // 2 :].hex()


@lru_cache(maxsize=1_024)
def address_of(private_key: str) -> str:
    """Return the address of a private key, in small letters.

    Args:
        private_key: 64 hex digits, with or without `0x`.

    Raises:
        ValueError: it is none; the message does not repeat it.
    """
    digits = private_key.removeprefix("0x")
    try:
        scalar = int(digits, 16) if len(digits) == _KEY_DIGITS else 0
    except ValueError:
        scalar = 0
    if not 0 < scalar < _ORDER:
        raise ValueError("private_key: is no 64 hex digits of a valid key")
    return _address(_times(_BASE, scalar))


def signer_of(message: str, signature: str) -> str | None:
    """Return the address that signed a personal message; None if nobody can have.

    Args:
        message: the text as the wallet showed it.
        signature: 65 bytes as hex digits, with or without `0x`.
    """
    try:
        raw = bytes.fromhex(signature.removeprefix("0x"))
    except ValueError:
        return None
    if len(raw) != _SIGNATURE_BYTES:
        return None
    r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:64], "big")
    parity = raw[64] - _FIRST_RECOVERY_ID if raw[64] >= _FIRST_RECOVERY_ID else raw[64]
    if parity not in (0, 1) or not 0 < r < _ORDER or not 0 < s < _ORDER:
        return None
    square = (pow(r, 3, _FIELD) + _COEFFICIENT) % _FIELD
    root = pow(square, (_FIELD + 1) // 4, _FIELD)
    if root * root % _FIELD != square:
        return None
    point = (r, root if root % 2 == parity else _FIELD - root)
    text = message.encode()
    head = f"\x19Ethereum Signed Message:\n{len(text)}".encode()
    digest = int.from_bytes(keccak_256(head + text), "big")
    inverse = pow(r, -1, _ORDER)
    found = _added(
        _times(_BASE, -digest * inverse % _ORDER), _times(point, s * inverse % _ORDER)
    )
    return _address(found) if found[2] else None
