"""The curve ecGFp5: field GF(p**5), complete addition, encoding, tables.

Formulas are from T. Pornin, "EcGFp5: a Specialized Elliptic Curve" (2022). The
group has prime order and an element is known by one field element w; inside it is
held in the paper's fractional coordinates (x : z : u : t).

A field element is one Python integer that holds the five coefficients in slots of
160 bits, so that a product of polynomials is a single product of integers. Slots
are reduced loosely: a product leaves each below 2**66, the sums of the addition
stay below 2**81, so the next product (13 terms a slot) stays below 2**160 and
nothing ever carries into its neighbour.
This is not constant-time: it is meant for machines that no one else computes on.
"""

from __future__ import annotations

from typing import NamedTuple

from wrappy.signing.poseidon2 import FIELD_ORDER

GROUP_ORDER = int(
    "1067993516717146951041484916571792702745057740581"
    "727230159139685185762082554198619328292418486241"
)
"""Prime order n of the group; scalars live mod n."""

SCALAR_BITS = GROUP_ORDER.bit_length()
"""Bits of a scalar: 319."""

ENCODED_BYTES = 40
"""Length of an encoded group element and of an encoded scalar."""

_P = FIELD_ORDER
_SLOT = 160
_LIMBS = 5
_LIMB_BYTES = 8
_ONE_SLOT = (1 << _SLOT) - 1
_ALL_SLOTS = (1 << _LIMBS * _SLOT) - 1


def _every_slot(value: int) -> int:
    return sum(value << _SLOT * slot for slot in range(_LIMBS))


_LOW_64 = _every_slot(2**64 - 1)
_LOW_96 = _every_slot(2**96 - 1)
# Multiples of p, added before a subtraction to keep every slot positive.
_ABOVE_HIGH_PART = _every_slot(_P << 16)
_ABOVE_TWO_PRODUCTS = _every_slot(_P << 4)

_A = 2
_B_COEFFICIENT = 263  # the curve's b is 263 z

# z**p = z * 3**((p - 1) / 5): powers of that factor make the Frobenius map cheap.
_FROBENIUS = [
    [pow(3, power * slot * (_P - 1) // 5, _P) for slot in range(_LIMBS)]
    for power in range(_LIMBS)
]


class Element(NamedTuple):
    """A group element in fractional coordinates, packed field elements each."""

    x: int
    z: int
    u: int
    t: int


def pack(limbs: list[int]) -> int:
    """Return the packed field element of five coefficients."""
    return sum(limb << _SLOT * slot for slot, limb in enumerate(limbs))


def unpack(packed: int) -> list[int]:
    """Return the five coefficients, reduced."""
    return [(packed >> _SLOT * slot & _ONE_SLOT) % _P for slot in range(_LIMBS)]


def limbs_from_bytes(raw: bytes) -> list[int]:
    """Split bytes into little-endian 64-bit numbers."""
    return [
        int.from_bytes(raw[start : start + _LIMB_BYTES], "little")
        for start in range(0, len(raw), _LIMB_BYTES)
    ]


def bytes_from_limbs(limbs: list[int]) -> bytes:
    """Join 64-bit numbers, little-endian."""
    return b"".join(limb.to_bytes(_LIMB_BYTES, "little") for limb in limbs)


def multiply(left: int, right: int) -> int:
    """Return a product in GF(p**5), loosely reduced."""
    r = left * right
    r = (r & _ALL_SLOTS) + 3 * (r >> _LIMBS * _SLOT)  # z**5 = 3
    r = (r & _LOW_96) + _ABOVE_HIGH_PART - (r >> 96 & _LOW_64)  # 2**96 = -1
    return (r & _LOW_64) + (r >> 64 & _LOW_96) * 0xFFFFFFFF  # 2**64 = 2**32 - 1


def invert(packed: int) -> int:
    """Return the inverse in GF(p**5); of zero it is zero."""
    cofactor, norm = _norm(packed)
    if norm == 0:
        return 0
    inverse = pow(norm, -1, _P)
    return pack([limb * inverse % _P for limb in unpack(cofactor)])


def square_root(packed: int) -> int | None:
    """Return a square root in GF(p**5), or `None` if there is none."""
    # With r = 1 + p + p**2 + p**3 + p**4, a**((r + 1) / 2) squares to a * norm(a),
    # so only a root of the norm is missing, and that is in the small field.
    half = _power(packed, (_P + 1) // 2)
    rest = multiply(_frobenius(half, 1), _frobenius(half, 3))
    norm = unpack(multiply(multiply(rest, rest), packed))[0]
    root = _small_square_root(norm)
    if root is None:
        return None
    if root == 0:
        return 0
    inverse = pow(root, -1, _P)
    return pack([limb * inverse % _P for limb in unpack(multiply(packed, rest))])


def is_square(packed: int) -> bool:
    """Return whether a field element is a square other than zero."""
    return pow(_norm(packed)[1], (_P - 1) // 2, _P) == 1


def _norm(packed: int) -> tuple[int, int]:
    cofactor = multiply(
        multiply(_frobenius(packed, 1), _frobenius(packed, 2)),
        multiply(_frobenius(packed, 3), _frobenius(packed, 4)),
    )
    return cofactor, unpack(multiply(cofactor, packed))[0]


def _frobenius(packed: int, power: int) -> int:
    return pack(
        [
            limb * factor % _P
            for limb, factor in zip(unpack(packed), _FROBENIUS[power], strict=True)
        ]
    )


def _power(packed: int, exponent: int) -> int:
    result = packed
    for bit in bin(exponent)[3:]:
        result = multiply(result, result)
        if bit == "1":
            result = multiply(result, packed)
    return result


def _small_square_root(value: int) -> int | None:
    if value == 0:
        return 0
    if pow(value, (_P - 1) // 2, _P) != 1:
        return None
    # Tonelli and Shanks; p - 1 = 2**32 * odd, and 7 generates the whole group.
    odd = (_P - 1) >> 32
    factor = pow(7, odd, _P)
    root = pow(value, (odd + 1) // 2, _P)
    error = pow(value, odd, _P)
    order = 32
    while error != 1:
        step, probe = 0, error
        while probe != 1:
            probe = probe * probe % _P
            step += 1
        for _ in range(order - step - 1):
            factor = factor * factor % _P
        root = root * factor % _P
        factor = factor * factor % _P
        error = error * factor % _P
        order = step
    return root


def _times_b(packed: int) -> int:
    scaled = packed * _B_COEFFICIENT
    return (scaled << _SLOT & _ALL_SLOTS) + 3 * (scaled >> (_LIMBS - 1) * _SLOT)


def add(left: Element, right: Element) -> Element:
    """Return the sum of two group elements; there are no exceptional cases."""
    x1, z1, u1, t1 = left
    x2, z2, u2, t2 = right
    xx = multiply(x1, x2)
    zz = multiply(z1, z2)
    uu = multiply(u1, u2)
    tt = multiply(t1, t2)
    xz = multiply(x1 + z1, x2 + z2) + _ABOVE_TWO_PRODUCTS - xx - zz
    ut = multiply(u1 + t1, u2 + t2) + _ABOVE_TWO_PRODUCTS - uu - tt
    bzz = _times_b(zz)
    base = xx + bzz
    plus = multiply(tt, base)
    minus = multiply(uu, 2 * (_times_b(xz) + base))
    cross = multiply(tt + 2 * uu, xz + base)
    return Element(
        multiply(_times_b(cross + _ABOVE_TWO_PRODUCTS - plus), 1),
        plus + _ABOVE_TWO_PRODUCTS - minus,
        multiply(ut, bzz + _ABOVE_TWO_PRODUCTS - xx),
        plus + minus,
    )


def negate(element: Element) -> Element:
    """Return the inverse of a group element."""
    return element._replace(u=_ABOVE_TWO_PRODUCTS - element.u)


NEUTRAL = Element(0, 1, 0, 1)
"""The group's zero."""

GENERATOR = Element(
    pack(
        [
            12883135586176881569,
            4356519642755055268,
            5248930565894896907,
            2165973894480315022,
            2448410071095648785,
        ]
    ),
    1,
    1,
    4,
)
"""The base point of keys and signatures."""


def encode(element: Element) -> bytes:
    """Return the 40 bytes that name a group element: w = t / u, zero for the zero."""
    return bytes_from_limbs(unpack(multiply(element.t, invert(element.u))))


def decode(raw: bytes) -> Element | None:
    """Return the group element that 40 bytes name, or `None` if they name none."""
    limbs = limbs_from_bytes(raw)
    if len(raw) != ENCODED_BYTES or any(limb >= _P for limb in limbs):
        return None
    w = pack(limbs)
    if w == 0:
        return NEUTRAL
    # x solves x**2 - (w**2 - a) x + b = 0. The roots' product b is no square, so
    # exactly one of them is; elements of the group have the other.
    e = multiply(w, w) + pack([_P - _A, 0, 0, 0, 0])
    four_b = pack([0, 4 * _B_COEFFICIENT, 0, 0, 0])
    root = square_root(multiply(e, e) + _ABOVE_TWO_PRODUCTS - four_b)
    if root is None:
        return None
    half = (_P + 1) // 2
    x = multiply(e + root, half)
    if is_square(x):
        x = multiply(e + _ABOVE_TWO_PRODUCTS - root, half)
    return Element(x, 1, 1, w)


class FixedBaseTable:
    """Multiples of one group element, so that a product takes additions only.

    Args:
        base: the element.
        window_bits: bits of the scalar per addition; the table has
            2**(window_bits - 1) elements for each.
    """

    def __init__(self, base: Element, *, window_bits: int) -> None:
        self._bits = window_bits
        self._windows: list[list[Element]] = []
        # One window more than the scalar's bits may ask for takes the last carry.
        for _ in range(SCALAR_BITS // window_bits + 1):
            multiples = [NEUTRAL, base]
            while len(multiples) <= 1 << window_bits - 1:
                multiples.append(add(multiples[-1], base))
            base = add(multiples[-1], multiples[-1])
            self._windows.append(multiples)

    def multiply(self, scalar: int, start: Element = NEUTRAL) -> Element:
        """Return `start` plus `scalar` (0..n-1) times the base."""
        total = start
        full, half = 1 << self._bits, 1 << self._bits - 1
        for multiples in self._windows:
            digit = scalar & full - 1
            scalar >>= self._bits
            if digit > half:  # digits run from 1 - half to half: less to store
                digit -= full
                scalar += 1
                total = add(total, negate(multiples[-digit]))
            elif digit:
                total = add(total, multiples[digit])
        return total
