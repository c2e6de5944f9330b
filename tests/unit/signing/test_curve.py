"""The curve: field laws, group laws, encoding."""

from __future__ import annotations

import random

import pytest

from wrappy.signing import curve
from wrappy.signing.poseidon2 import FIELD_ORDER


def random_limbs(rng):
    return [rng.randrange(FIELD_ORDER) for _ in range(5)]


def times(scalar, element):
    total = curve.NEUTRAL
    for bit in f"{scalar:b}":
        total = curve.add(total, total)
        if bit == "1":
            total = curve.add(total, element)
    return total


def schoolbook(left, right):
    product = [0] * 9
    for i, a in enumerate(left):
        for j, b in enumerate(right):
            product[i + j] += a * b
    low, high = product[:5], product[5:]
    return [(a + 3 * b) % FIELD_ORDER for a, b in zip(low, [*high, 0], strict=True)]


@pytest.mark.parametrize("seed", range(20))
def test_a_product_equals_the_schoolbook_one(seed):
    rng = random.Random(seed)
    left, right = random_limbs(rng), random_limbs(rng)
    product = curve.multiply(curve.pack(left), curve.pack(right))
    assert curve.unpack(product) == schoolbook(left, right)


def test_the_largest_limbs_do_not_carry_into_each_other():
    largest = [FIELD_ORDER - 1] * 5
    loose = [2**81 - 1] * 5
    product = curve.multiply(curve.pack(loose), curve.pack([2**70 - 1] * 5))
    assert curve.unpack(product) == schoolbook(loose, [2**70 - 1] * 5)
    square = curve.multiply(curve.pack(largest), curve.pack(largest))
    assert curve.unpack(square) == schoolbook(largest, largest)


@pytest.mark.parametrize("seed", range(5))
def test_an_element_times_its_inverse_is_one(seed):
    element = curve.pack(random_limbs(random.Random(seed)))
    product = curve.multiply(element, curve.invert(element))
    assert curve.unpack(product) == [1, 0, 0, 0, 0]


def test_the_inverse_of_zero_is_zero():
    assert curve.invert(0) == 0


@pytest.mark.parametrize("seed", range(30))
def test_exactly_the_squares_have_roots(seed):
    rng = random.Random(seed)
    element = curve.pack(random_limbs(rng))
    square = curve.multiply(element, element)
    root = curve.square_root(square)
    assert curve.is_square(square)
    assert curve.unpack(curve.multiply(root, root)) == curve.unpack(square)
    assert (curve.square_root(element) is None) == (not curve.is_square(element))


def test_the_root_of_zero_is_zero():
    assert curve.square_root(0) == 0
    assert not curve.is_square(0)


def test_the_generator_has_the_group_order():
    assert curve.encode(times(curve.GROUP_ORDER, curve.GENERATOR)) == bytes(40)
    assert curve.encode(times(curve.GROUP_ORDER + 1, curve.GENERATOR)) == curve.encode(
        curve.GENERATOR
    )


def test_addition_is_associative_and_commutative_with_zero_and_inverses():
    a, b, c = (times(n, curve.GENERATOR) for n in (3, 1_000_003, 2**200 + 9))
    left = curve.add(curve.add(a, b), c)
    assert curve.encode(left) == curve.encode(curve.add(b, curve.add(c, a)))
    assert curve.encode(curve.add(a, curve.NEUTRAL)) == curve.encode(a)
    assert curve.encode(curve.add(a, curve.negate(a))) == bytes(40)
    assert curve.encode(curve.add(curve.NEUTRAL, curve.NEUTRAL)) == bytes(40)


@pytest.mark.parametrize("scalar", [0, 1, 2, 3, 2**100 + 1, curve.GROUP_ORDER - 1])
def test_decoding_undoes_encoding(scalar):
    encoded = curve.encode(times(scalar, curve.GENERATOR))
    element = curve.decode(encoded)
    assert curve.encode(element) == encoded
    doubled = times(2 * scalar, curve.GENERATOR)
    assert curve.encode(curve.add(element, element)) == curve.encode(doubled)


def test_bytes_that_name_no_element_decode_to_none():
    unreduced = curve.bytes_from_limbs([FIELD_ORDER, 0, 0, 0, 0])
    assert curve.decode(unreduced) is None
    assert curve.decode(bytes(39)) is None
    assert curve.decode(bytes(48)) is None
    named = [
        curve.decode(curve.bytes_from_limbs([n, 0, 0, 0, 0])) for n in range(1, 30)
    ]
    assert None in named
    assert any(named)


@pytest.mark.parametrize("window_bits", [1, 2, 4, 5, 6])
@pytest.mark.parametrize(
    "scalar", [0, 1, 8, 15, 16, 2**319 // 3, curve.GROUP_ORDER - 1]
)
def test_a_table_multiplies_like_doubling_and_adding(window_bits, scalar):
    table = curve.FixedBaseTable(curve.GENERATOR, window_bits=window_bits)
    product = table.multiply(scalar)
    assert curve.encode(product) == curve.encode(times(scalar, curve.GENERATOR))


def test_a_table_adds_to_a_starting_element():
    table = curve.FixedBaseTable(curve.GENERATOR, window_bits=4)
    total = table.multiply(5, times(7, curve.GENERATOR))
    assert curve.encode(total) == curve.encode(times(12, curve.GENERATOR))
