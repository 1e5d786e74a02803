"""Nearest neighbours against a plain sort of all similarities, with any block sizes."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.profile import scaled

from xlift.tasks import nearest
from xlift.tasks.nearest import find_neighbours, unit_vectors


def vectors(seed: int, n: int, dimension: int = 8) -> np.ndarray:
    return unit_vectors(np.random.default_rng(seed).standard_normal((n, dimension)))


def sort_all(x: np.ndarray, y: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k best of y for each x from the full matrix, by descending similarity, then ascending index."""
    found = []
    for row in (x @ y.T).tolist():
        found.append(sorted(range(len(row)), key=lambda j: (-row[j], j))[:k])
    index = np.array(found).reshape(len(x), min(k, len(y)))
    return index, np.take_along_axis(x @ y.T, index, axis=1)


@settings(max_examples=scaled(150), deadline=None)
@given(
    seed=st.integers(0, 10**6), n=st.integers(1, 40), m=st.integers(1, 40), k=st.integers(1, 6),
    rows=st.integers(1, 45), columns=st.integers(1, 45), segments=st.integers(1, 12),
)  # fmt: skip
def test_neighbours_equal_a_full_sort(seed, n, m, k, rows, columns, segments):
    # Small whole numbers make products exact and ties frequent, so that blocks must agree to the last bit.
    rng = np.random.default_rng(seed)
    x, y = (rng.integers(-2, 3, (size, 3)).astype(np.float32) for size in (n, m))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("BLOCK_ROWS", rows), ("BLOCK_COLUMNS", columns), ("NUM_SEGMENTS", segments)):
            patch.setattr(nearest, name, value)
        of_x, of_y = find_neighbours(x, y, k)
    for found, one, other in ((of_x, x, y), (of_y, y, x)):
        index, similarity = sort_all(one, other, k)
        np.testing.assert_array_equal(found.index, index)
        np.testing.assert_array_equal(found.similarity, similarity)


@pytest.mark.parametrize("blocks", [(64, 64), (100, 7), (1000, 1000), (333, 501)])
def test_block_sizes_do_not_matter(blocks, monkeypatch):
    x, y = vectors(1, 500, 32), vectors(2, 700, 32)
    whole = find_neighbours(x, y, 4)
    monkeypatch.setattr(nearest, "BLOCK_ROWS", blocks[0])
    monkeypatch.setattr(nearest, "BLOCK_COLUMNS", blocks[1])
    for found, expected in zip(find_neighbours(x, y, 4), whole, strict=True):
        np.testing.assert_array_equal(found.index, expected.index)
        np.testing.assert_allclose(found.similarity, expected.similarity, atol=1e-6)


def test_neighbours_equal_those_of_faiss():
    faiss = pytest.importorskip("faiss", reason="faiss-cpu is in the extra `bench`")
    x, y = vectors(3, 400, 24), vectors(4, 300, 24)
    for found, one, other in zip(find_neighbours(x, y, 4), (x, y), (y, x), strict=True):
        flat = faiss.IndexFlatIP(24)
        flat.add(other)
        similarity, index = flat.search(one, 4)
        np.testing.assert_array_equal(found.index, index)
        np.testing.assert_allclose(found.similarity, similarity, atol=1e-6)


def test_memory_is_bounded_by_blocks_and_not_by_the_matrix(monkeypatch):
    monkeypatch.setattr(nearest, "BLOCK_ROWS", 128)
    monkeypatch.setattr(nearest, "BLOCK_COLUMNS", 128)
    x, y = vectors(5, 6000, 4), vectors(6, 6000, 4)
    tracemalloc.start()
    find_neighbours(x, y, 4)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    result = 2 * 6000 * 4 * (4 + 8)
    assert peak < result + 20 * 128 * 128 * 4  # all similarities would be 144 MB, this is under 2


def test_equal_calls_give_equal_bytes_with_any_number_of_threads():
    code = (
        "import hashlib; from tests.tasks.test_nearest import vectors; from xlift.tasks.nearest import find_neighbours\n"
        "found = find_neighbours(vectors(7, 900, 96), vectors(8, 1100, 96), 4)\n"
        "print(hashlib.sha256(b''.join(a.tobytes() for f in found for a in (f.similarity, f.index))).hexdigest())"
    )
    digests = set()
    for threads in ("1", "2"):
        environment = {**os.environ, "OMP_NUM_THREADS": threads, "PYTHONPATH": os.pathsep.join(("src", "."))}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        digests.add(done.stdout)
    assert len(digests) == 1


def test_ties_keep_the_order_of_the_vectors():
    x = unit_vectors(np.ones((50, 4)))
    of_x, of_y = find_neighbours(x, x, 3)
    assert of_x.index.tolist() == of_y.index.tolist() == [[0, 1, 2]] * 50


@pytest.mark.parametrize(("n", "m"), [(0, 3), (3, 0), (0, 0)])
def test_empty_sets_have_no_neighbours(n, m):
    of_x, of_y = find_neighbours(vectors(0, n), vectors(1, m), 4)
    assert of_x.index.shape == (n, min(4, m))
    assert of_y.index.shape == (m, min(4, n))


def test_a_zero_vector_stays_zero():
    assert unit_vectors(np.zeros((2, 3))).tolist() == [[0.0] * 3] * 2


def test_what_is_given_is_not_written_to():
    given = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
    before = given.copy()
    unit_vectors(given, center=True)
    np.testing.assert_array_equal(given, before)
