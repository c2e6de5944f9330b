"""Poseidon2 over the Goldilocks field: the hash below every signature.

Width 12, rate 8, S-box x**7, four external rounds, 22 internal ones and four
external ones again (L. Grassi, D. Khovratovich, M. Schofnegger, "Poseidon2"); the
parameters are those the exchange's circuits use. A signature costs four
permutations, so they are arranged for few operations of the interpreter.
"""

from __future__ import annotations

from operator import mul
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

# In the internal rounds only the first element meets the S-box; the other eleven
# stay linear in their start and in the rounds' sums t. So they are not carried
# along: all that will ever be asked of them is kept in one number, a slot each. The
# lowest slots are their sums before each round to come, the eleven slots above are
# the elements after the last round. Slots stay below 2**137 and never carry.
_SLOT = 144
_ONE_SLOT = (1 << _SLOT) - 1
_ROUNDS = len(INTERNAL_ROUND_CONSTANTS)
_FIRST_FACTOR, *_FACTORS = INTERNAL_DIAGONAL


def _slots(values: Iterable[int]) -> int:
    return sum(value % FIELD_ORDER << _SLOT * slot for slot, value in enumerate(values))


def _share_of_start(element: int) -> int:
    """Return what one of the eleven adds to the slots before the first round."""
    at_the_end = [0] * len(_FACTORS)
    at_the_end[element] = pow(_FACTORS[element], _ROUNDS, FIELD_ORDER)
    sums = [pow(_FACTORS[element], power, FIELD_ORDER) for power in range(_ROUNDS)]
    return _slots(sums + at_the_end)


def _share_of_round(rounds_left: int) -> int:
    """Return what a round's t adds to the slots, with so many rounds to come."""
    sums = [
        sum(pow(factor, power, FIELD_ORDER) for factor in _FACTORS)
        for power in range(rounds_left)
    ]
    return _slots(sums + [pow(factor, rounds_left, FIELD_ORDER) for factor in _FACTORS])


_SHARES_OF_START = [_share_of_start(element) for element in range(len(_FACTORS))]
_INTERNAL_ROUNDS = [
    (constant, _share_of_round(_ROUNDS - 1 - number))
    for number, constant in enumerate(INTERNAL_ROUND_CONSTANTS)
]


def permute(state: Sequence[int]) -> list[int]:
    """Return the permutation of twelve field elements, each reduced mod p."""
    mixed = _external_layer(state)
    mixed = _external_rounds(mixed, _FIRST_ROUNDS)
    mixed = _internal_rounds(mixed)
    mixed = _external_rounds(mixed, _LAST_ROUNDS)
    return [element % FIELD_ORDER for element in mixed]


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
        # Sums are not reduced first: the cube takes as many digits either way.
        for element, constant in zip(state, constants, strict=True):
            x = element + constant
            cube = x * x * x % p
            powers.append(cube * cube * x % p)
        state = _external_layer(powers)
    return state


def _internal_rounds(state: Row) -> Row:
    p, bits, one_slot = FIELD_ORDER, _SLOT, _ONE_SLOT
    a, *others = state
    slots = sum(map(mul, others, _SHARES_OF_START))
    for constant, share in _INTERNAL_ROUNDS:
        x = a + constant
        cube = x * x * x % p
        power = cube * cube * x % p
        t = (power + (slots & one_slot)) % p
        slots = (slots >> bits) + t * share
        a = (t + _FIRST_FACTOR * power) % p
    return a, *[(slots >> bits * slot & one_slot) % p for slot in range(WIDTH - 1)]
