"""Validation, targets, splits, normalisation, digests and duplicates."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import StandardScaler

from ntkdist.data import (
    Normaliser,
    RowDigest,
    check_directions,
    check_lengths,
    check_rows,
    check_targets,
    duplicate_groups,
    encode_targets,
    split_rows,
)
from ntkdist.data.source import ArraySource
from ntkdist.errors import InputError

X = np.random.default_rng(0).standard_normal((50, 3)) * [1, 100, 0] + [5, 0, 7]


@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "Inf")])
def test_values_that_are_not_finite_are_named_by_row(value: float, word: str) -> None:
    bad = X.copy()
    bad[[3, 8], 1] = value
    with pytest.raises(InputError, match=f"{word} in rows 103, 108"):
        check_rows(bad, 100)
    bad[:, 0] = value
    with pytest.raises(InputError, match="and 45 more"):
        check_rows(bad, 0)


def test_other_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="x has 3 rows and y has 4"):
        check_lengths(3, 4)
    with pytest.raises(InputError, match=r"zero.* in row 12"):
        check_directions(np.array([[1.0], [1e-200], [2.0]]), np.array([11, 12, 13]))
    for y in (np.array([1j]), np.array([object()])):
        with pytest.raises(InputError, match="dtype"):
            check_targets(y, 0)
        with pytest.raises(InputError, match="dtype"):
            check_rows(y[:, None], 0)
    check_targets(np.array(["a", "b"]), 0)
    with pytest.raises(InputError, match="NaN"):
        check_targets(np.array([np.nan]), 0)


def test_standardisation_is_that_of_scikit_learn_on_the_training_rows() -> None:
    train = np.arange(0, 50, 2)
    normaliser = Normaliser.fit(ArraySource("a", X, None), train, "standardise")
    expected = StandardScaler().fit(X[train][:, :2]).transform(X[:, :2])
    np.testing.assert_allclose(normaliser.apply(X)[:, :2], expected, atol=1e-12)
    assert normaliser.constant_features == [2]
    assert not normaliser.apply(X)[:, 2].any()
    again = Normaliser.from_dict(normaliser.to_dict())
    np.testing.assert_array_equal(again.apply(X), normaliser.apply(X))


def test_unit_rows_have_length_one_at_any_scale() -> None:
    normaliser = Normaliser.fit(ArraySource("a", X, None), None, "unit")
    for scale in (1e-300, 1.0, 1e300):
        np.testing.assert_allclose(np.linalg.norm(normaliser.apply(X * scale / 1e3), axis=1), 1, rtol=1e-14)
    assert not normaliser.apply(np.zeros((1, 3))).any()


def test_targets_are_encoded_as_said() -> None:
    found = encode_targets(np.array(["cat", "dog", "cat"]))
    np.testing.assert_array_equal(found.values, [[0.5, -0.5], [-0.5, 0.5], [0.5, -0.5]])
    np.testing.assert_array_equal(found.decode(found.values), ["cat", "dog", "cat"])
    assert encode_targets(np.array([0.5, 1.5])).task == "regression"
    assert encode_targets(np.arange(1000)).task == "regression"
    assert encode_targets(np.arange(10).repeat(9)).task == "classification"
    assert encode_targets(np.ones((4, 2))).values.shape == (4, 2)
    assert encode_targets(np.array([[0], [1]])).task == "classification"
    two = encode_targets(np.array([1.0, 2.0]), "regression")
    np.testing.assert_array_equal(two.decode(two.values), two.values)


@pytest.mark.parametrize(
    ("y", "task", "words"),
    [
        (np.zeros(4, dtype=int), "auto", "single class"),
        (np.array(["a", "b"]), "regression", "numbers"),
        (np.array([0.5, 1.0]), "classification", "fractions"),
        (np.ones((3, 2)), "classification", "one class per row"),
        (np.arange(2000), "classification", "distinct values"),
        (np.arange(3), "clasification", "Unknown task"),
    ],
)
def test_targets_that_make_no_sense_are_refused(y: np.ndarray, task: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        encode_targets(y, task)


@settings(deadline=None, max_examples=50)
@given(n=st.integers(2, 200), fraction=st.floats(0.0, 0.9), seed=st.integers(0, 5), classes=st.integers(0, 4))
def test_a_split_covers_every_row_once_and_repeats(n: int, fraction: float, seed: int, classes: int) -> None:
    labels = None if classes == 0 else np.arange(n) % classes
    if fraction > 0 and not 0 < round(fraction * n) < n:
        with pytest.raises(InputError, match="cannot be split"):
            split_rows(n, fraction, seed, labels)
        return
    split = split_rows(n, fraction, seed, labels)
    again = split_rows(n, fraction, seed, labels)
    np.testing.assert_array_equal(np.sort(np.concatenate([split.train, split.test])), np.arange(n))
    np.testing.assert_array_equal(split.test, again.test)
    if labels is None:
        assert len(split.test) == round(fraction * n)
    else:
        assert set(labels[split.train]) == set(labels)
        assert len(split.test) == min(round(fraction * n), n - len(set(labels)))


@settings(deadline=None, max_examples=40)
@given(cuts=st.lists(st.integers(0, 50), max_size=5))
def test_a_digest_does_not_depend_on_the_blocks(cuts: list[int]) -> None:
    whole, parts = RowDigest(), RowDigest()
    whole.update(X)
    for part in np.split(X, sorted(cuts)):
        if len(part):
            parts.update(part)
    assert whole.hexdigest() == parts.hexdigest()
    other = RowDigest()
    other.update(X.astype(np.float32))
    assert other.hexdigest() != whole.hexdigest()


def test_equal_rows_are_found_across_blocks_and_minus_zero_is_zero() -> None:
    x = np.arange(20.0).reshape(10, 2)
    x[7], x[9] = x[2], x[2]
    x[4], x[5] = [0.0, -0.0], [0.0, 0.0]
    groups = duplicate_groups([x[:3], x[3:8], x[8:]])
    assert [g.tolist() for g in groups] == [[2, 7, 9], [4, 5]]
    assert duplicate_groups([]) == []
