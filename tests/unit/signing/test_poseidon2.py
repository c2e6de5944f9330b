"""The hash: shape and algebra; published vectors are in the contract tests."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wrappy.signing.poseidon2 import (
    FIELD_ORDER,
    RATE,
    WIDTH,
    hash_to_quartet,
    hash_to_quintic,
    permute,
    sponge,
)
from wrappy.signing.poseidon2_constants import (
    EXTERNAL_ROUND_CONSTANTS,
    INTERNAL_DIAGONAL,
    INTERNAL_ROUND_CONSTANTS,
)


def test_the_parameters_are_reduced_and_complete():
    rows = [*EXTERNAL_ROUND_CONSTANTS, INTERNAL_DIAGONAL]
    assert [len(row) for row in rows] == [WIDTH] * 9
    assert len(INTERNAL_ROUND_CONSTANTS) == 22
    numbers = [number for row in rows for number in row]
    assert all(0 <= n < FIELD_ORDER for n in [*numbers, *INTERNAL_ROUND_CONSTANTS])


def test_a_permutation_is_reduced_and_depends_on_the_residue_only():
    state = [FIELD_ORDER - 1] * WIDTH
    image = permute(state)
    assert all(0 <= element < FIELD_ORDER for element in image)
    assert image == permute([-1] * WIDTH)


def test_nothing_hashes_to_zeros():
    assert sponge([], 5) == [0] * 5


def test_negative_inputs_wrap():
    assert hash_to_quintic([-1, 2]) == hash_to_quintic([FIELD_ORDER - 1, 2])


def test_a_second_block_replaces_only_as_many_elements_as_it_has():
    first = permute([*range(1, RATE + 1), 0, 0, 0, 0])
    second = permute([99, *first[1:]])
    assert hash_to_quartet([*range(1, RATE + 1), 99]) == second[:4]


@pytest.mark.parametrize("outputs", [1, 8, 12, 17])
def test_longer_digests_begin_with_the_shorter_ones(outputs):
    digest = sponge(range(5), outputs)
    assert len(digest) == outputs
    assert digest == sponge(range(5), 20)[:outputs]


def textbook(state):
    """The permutation as it is defined, round by round and matrix by matrix."""

    def external_layer(state):
        rows = [(2, 3, 1, 1), (1, 2, 3, 1), (1, 1, 2, 3), (3, 1, 1, 2)]
        mixed = [
            sum(f * x for f, x in zip(row, state[start : start + 4], strict=True))
            for start in (0, 4, 8)
            for row in rows
        ]
        return [x + sum(mixed[n % 4 :: 4]) for n, x in enumerate(mixed)]

    def external_round(state, constants):
        pairs = zip(state, constants, strict=True)
        return external_layer([pow(x + c, 7, FIELD_ORDER) for x, c in pairs])

    def internal_round(state, constant):
        state = [pow(state[0] + constant, 7, FIELD_ORDER), *state[1:]]
        pairs = zip(state, INTERNAL_DIAGONAL, strict=True)
        return [(sum(state) + d * x) % FIELD_ORDER for x, d in pairs]

    state = external_layer(state)
    for constants in EXTERNAL_ROUND_CONSTANTS[:4]:
        state = external_round(state, constants)
    for constant in INTERNAL_ROUND_CONSTANTS:
        state = internal_round(state, constant)
    for constants in EXTERNAL_ROUND_CONSTANTS[4:]:
        state = external_round(state, constants)
    return [x % FIELD_ORDER for x in state]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.integers(0, 2**64 - 1)
        | st.sampled_from([0, 1, FIELD_ORDER - 1, FIELD_ORDER, 2**64 - 1]),
        min_size=WIDTH,
        max_size=WIDTH,
    )
)
def test_a_permutation_is_the_one_of_the_textbook(state):
    assert permute(state) == textbook(state)
