"""Rows of different lengths in two arrays, against lists of lists."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlift.tasks.formats.ragged import Ragged

INTS = st.integers(-(2**31), 2**31 - 1)
ROWS = st.lists(st.lists(INTS, max_size=6), max_size=6)


@given(ROWS)
def test_it_holds_what_lists_of_lists_hold(rows):
    ragged = Ragged.of(rows)
    assert ragged.tolist() == [row.tolist() for row in ragged] == rows
    assert [ragged[i].tolist() for i in range(len(ragged))] == rows
    assert ragged.lengths.tolist() == [len(row) for row in rows]
    assert (ragged.values.dtype, ragged.starts.dtype) == (np.int32, np.int64)


@given(ROWS)
def test_rows_may_be_lists_tuples_or_arrays_of_any_integers(rows):
    ragged = Ragged.of(rows)
    assert Ragged.of(tuple(row) for row in rows) == ragged
    assert Ragged.of(np.array(row, dtype=np.int64) for row in rows) == ragged
    assert Ragged.of(np.repeat(np.array(row, dtype=np.int32), 2)[::2] for row in rows) == ragged


@given(st.lists(ROWS, max_size=3))
def test_concatenated_is_the_rows_of_all_in_order(parts):
    assert Ragged.concatenated([Ragged.of(rows) for rows in parts]) == Ragged.of(row for rows in parts for row in rows)


@given(ROWS, ROWS)
def test_two_are_equal_where_their_rows_are(one, other):
    assert (Ragged.of(one) == Ragged.of(other)) == (one == other)


@given(ROWS, st.data(), st.integers(0, 3))
def test_padded_is_some_rows_filled_up_on_the_right(rows, data, more):
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=6)) if rows else []
    width = max((len(rows[i]) for i in chosen), default=0)
    index = np.array(chosen, dtype=int)
    assert Ragged.of(rows).padded(index, 7).tolist() == [rows[i] + [7] * (width - len(rows[i])) for i in chosen]
    wider = Ragged.of(rows).padded(index, 7, width + more)
    assert wider.shape == (len(chosen), width + more)
    assert (wider[:, :width] == Ragged.of(rows).padded(index, 7)).all()
    assert (wider[:, width:] == 7).all()
    assert wider.dtype == np.int64


def test_a_row_is_counted_from_the_end_or_missed_as_in_a_list():
    ragged = Ragged.of([[1], [2, 3]])
    assert ragged[-1].tolist() == [2, 3]
    with pytest.raises(IndexError):
        ragged[2]


def test_what_does_not_fit_is_refused_rather_than_cut():
    with pytest.raises(ValueError, match="a row of 2 does not fit into 1"):
        Ragged.of([[1], [2, 3]]).padded(np.array([0, 1]), 0, 1)
    with pytest.raises(ValueError, match="2 values, but rows from 0 to 3"):
        Ragged(np.zeros(2, np.int32), np.array([0, 3]))
    with pytest.raises(OverflowError):
        Ragged.of([[2**31]])
