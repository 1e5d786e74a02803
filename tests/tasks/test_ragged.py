"""`Ragged` against lists of lists."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlift.tasks.formats.ragged import Ragged

INTS = st.integers(-(2**31), 2**31 - 1)
ROWS = st.lists(st.lists(INTS, max_size=6), max_size=6)


@given(ROWS)
def test_ragged_equals_lists_of_lists(rows):
    ragged = Ragged.from_rows(rows)
    assert ragged.tolist() == [row.tolist() for row in ragged] == rows
    assert [ragged[i].tolist() for i in range(len(ragged))] == rows
    assert ragged.lengths.tolist() == [len(row) for row in rows]
    assert (ragged.values.dtype, ragged.starts.dtype) == (np.int32, np.int64)


@given(ROWS)
def test_rows_may_be_lists_tuples_or_arrays_of_any_integers(rows):
    ragged = Ragged.from_rows(rows)
    assert Ragged.from_rows(tuple(row) for row in rows) == ragged
    assert Ragged.from_rows(np.array(row, dtype=np.int64) for row in rows) == ragged
    assert Ragged.from_rows(np.repeat(np.array(row, dtype=np.int32), 2)[::2] for row in rows) == ragged


@given(st.lists(ROWS, max_size=3))
def test_concatenate_keeps_all_rows_in_order(parts):
    assert Ragged.concatenate([Ragged.from_rows(rows) for rows in parts]) == Ragged.from_rows(
        row for rows in parts for row in rows
    )


@given(ROWS, ROWS)
def test_ragged_is_equal_if_its_rows_are(one, other):
    assert (Ragged.from_rows(one) == Ragged.from_rows(other)) == (one == other)


@given(ROWS, st.data(), st.integers(0, 3))
def test_to_padded_selects_rows_and_pads_on_the_right(rows, data, more):
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=6)) if rows else []
    width = max((len(rows[i]) for i in chosen), default=0)
    index = np.array(chosen, dtype=int)
    assert Ragged.from_rows(rows).to_padded(index, 7).tolist() == [
        rows[i] + [7] * (width - len(rows[i])) for i in chosen
    ]
    wider = Ragged.from_rows(rows).to_padded(index, 7, width + more)
    assert wider.shape == (len(chosen), width + more)
    assert (wider[:, :width] == Ragged.from_rows(rows).to_padded(index, 7)).all()
    assert (wider[:, width:] == 7).all()
    assert wider.dtype == np.int64


def test_indexing_works_as_in_a_list():
    ragged = Ragged.from_rows([[1], [2, 3]])
    assert ragged[-1].tolist() == [2, 3]
    with pytest.raises(IndexError):
        ragged[2]


def test_values_and_rows_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="a row of 2 does not fit into 1"):
        Ragged.from_rows([[1], [2, 3]]).to_padded(np.array([0, 1]), 0, 1)
    with pytest.raises(ValueError, match="2 values, but rows from 0 to 3"):
        Ragged(np.zeros(2, np.int32), np.array([0, 3]))
    with pytest.raises(OverflowError):
        Ragged.from_rows([[2**31]])
