"""Poseidon2 over the Goldilocks field: the hash below every signature.

Width 12, rate 8, S-box x**7, four external rounds, 22 internal ones and four
external ones again (L. Grassi, D. Khovratovich, M. Schofnegger, "Poseidon2"); the
parameters are those the exchange's circuits use. The permutation is unrolled over
its twelve elements, because a signature costs four of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wrappy.signing.poseidon2_constants import (
    EXTERNAL_ROUND_CONSTANTS,
    INTERNAL_DIAGONAL,
    INTERNAL_ROUND_CONSTANTS,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Row = tuple[int, ...]

FIELD_ORDER = 2**64 - 2**32 + 1
"""Order p of the Goldilocks field."""

WIDTH = 12
"""Elements of the permutation's state."""

RATE = 8
"""Elements a sponge block replaces."""

_FIRST_ROUNDS = EXTERNAL_ROUND_CONSTANTS[:4]
_LAST_ROUNDS = EXTERNAL_ROUND_CONSTANTS[4:]


def permute(state: Sequence[int]) -> list[int]:
    """Return the permutation of twelve field elements, each reduced mod p."""
    mixed = _external_layer(state)
    mixed = _external_rounds(mixed, _FIRST_ROUNDS)
    mixed = _internal_rounds(mixed)
    return list(_external_rounds(mixed, _LAST_ROUNDS))


def sponge(elements: Iterable[int], outputs: int) -> list[int]:
    """Hash any number of integers to `outputs` field elements.

    Inputs are reduced mod p, so a negative number wraps. Each block of eight
    replaces the first elements of the state before the state is permuted; beyond
    eight outputs the state is permuted again for each further eight.
    """
    inputs = [element % FIELD_ORDER for element in elements]
    state = [0] * WIDTH
    for start in range(0, len(inputs), RATE):
        block = inputs[start : start + RATE]
        state[: len(block)] = block
        state = permute(state)
    digest = state[:RATE]
    while len(digest) < outputs:
        state = permute(state)
        digest += state[:RATE]
    return digest[:outputs]


def hash_to_quintic(elements: Iterable[int]) -> list[int]:
    """Hash integers to the five limbs of a message."""
    return sponge(elements, 5)


def hash_to_quartet(elements: Iterable[int]) -> list[int]:
    """Hash integers to four field elements, as order groups are hashed."""
    return sponge(elements, 4)


def _external_layer(state: Sequence[int]) -> Row:
    a, b, c, d, e, f, g, h, i, j, k, m = state
    # Each group of four times the circulant (2, 3, 1, 1): row r is the group's sum
    # plus element r plus twice element r + 1.
    t = a + b + c + d
    a, b, c, d = t + a + 2 * b, t + b + 2 * c, t + c + 2 * d, t + d + 2 * a
    t = e + f + g + h
    e, f, g, h = t + e + 2 * f, t + f + 2 * g, t + g + 2 * h, t + h + 2 * e
    t = i + j + k + m
    i, j, k, m = t + i + 2 * j, t + j + 2 * k, t + k + 2 * m, t + m + 2 * i
    w = a + e + i
    x = b + f + j
    y = c + g + k
    z = d + h + m
    return (
        a + w,
        b + x,
        c + y,
        d + z,
        e + w,
        f + x,
        g + y,
        h + z,
        i + w,
        j + x,
        k + y,
        m + z,
    )


def _external_rounds(state: Row, rounds: Sequence[Row]) -> Row:
    p = FIELD_ORDER
    for constants in rounds:
        powers = []
        for element, constant in zip(state, constants, strict=True):
            x = (element + constant) % p
            cube = x * x * x % p
            powers.append(cube * cube * x % p)
        state = _external_layer(powers)
    return tuple(element % p for element in state)


def _internal_rounds(state: Row) -> Row:
    p = FIELD_ORDER
    a, b, c, d, e, f, g, h, i, j, k, m = state
    da, db, dc, dd, de, df, dg, dh, di, dj, dk, dm = INTERNAL_DIAGONAL
    for constant in INTERNAL_ROUND_CONSTANTS:
        x = (a + constant) % p
        cube = x * x * x % p
        a = cube * cube * x % p
        t = a + b + c + d + e + f + g + h + i + j + k + m
        a = (t + da * a) % p
        b = (t + db * b) % p
        c = (t + dc * c) % p
        d = (t + dd * d) % p
        e = (t + de * e) % p
        f = (t + df * f) % p
        g = (t + dg * g) % p
        h = (t + dh * h) % p
        i = (t + di * i) % p
        j = (t + dj * j) % p
        k = (t + dk * k) % p
        m = (t + dm * m) % p
    return a, b, c, d, e, f, g, h, i, j, k, m
