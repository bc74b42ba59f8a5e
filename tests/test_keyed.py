import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gainbench.keyed import canonical_json, content_hash, keyed_fraction, keyed_generator


def test_equal_values_give_equal_text_whatever_their_order():
    assert canonical_json({"b": 1, "a": (1, 2)}) == canonical_json({"a": [1, 2], "b": 1}) == '{"a":[1,2],"b":1}'


def test_the_hash_is_blake2b_of_the_canonical_text():
    assert content_hash({"a": 1}) == hashlib.blake2b(b'{"a":1}', digest_size=16).hexdigest()


def test_numbers_that_json_cannot_write_are_refused():
    with pytest.raises(ValueError, match="JSON compliant"):
        content_hash({"a": float("nan")})


def test_a_generator_is_philox_keyed_by_the_names():
    key = int.from_bytes(hashlib.blake2b(b'["masks",0,"x"]', digest_size=16).digest(), "big")
    expected = np.random.Generator(np.random.Philox(key=key)).random(5)
    assert np.array_equal(keyed_generator("masks", 0, "x").random(5), expected)


def test_the_global_random_state_changes_nothing():
    np.random.seed(1)  # noqa: NPY002 - the point of the test
    first = keyed_generator("a").random()
    np.random.seed(2)  # noqa: NPY002 - the point of the test
    assert keyed_generator("a").random() == first


@given(st.lists(st.one_of(st.integers(), st.text()), max_size=4))
def test_fractions_lie_in_the_unit_interval(parts):
    assert 0 <= keyed_fraction(*parts) < 1


def test_fractions_of_many_names_are_uniform():
    values = np.array([keyed_fraction("split", str(index)) for index in range(20_000)])
    counts, _ = np.histogram(values, bins=10, range=(0, 1))
    chi_square = ((counts - 2000) ** 2 / 2000).sum()
    assert chi_square < 27.9  # 99.9 % point with 9 degrees of freedom
