"""Mining of sentence pairs: xlift against the double loop of XTREME's script and against the flat search of faiss.

    python benchmarks/mining.py                          # 20,000 x 20,000 x 768, a minute
    python benchmarks/mining.py --sentences 100000 --rounds 1

Needs the extra `bench` (faiss). Run nothing else beside it: every contestant uses `--threads` threads. xlift and faiss
run in turns
`--rounds` times, and the best time of each counts. Half of the sentences have a translation: a similar vector.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

K = 4


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sentences", type=int, default=20_000)
    parser.add_argument("--dimension", type=int, default=768)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--slice", type=int, default=20_000, help="candidates that the double loop scores")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(options.threads)  # must be set before NumPy is imported

    import faiss
    import numpy as np

    from xlift.tasks.formats.mining import choose_pairs, score_candidates
    from xlift.tasks.nearest import find_neighbours

    faiss.omp_set_num_threads(options.threads)
    n, dimension = options.sentences, options.dimension
    x, y = _collections(n, dimension)
    seconds: dict[str, list[float]] = {}

    def measure(name: str, work: Callable[..., Any], *given: Any) -> Any:
        start_time = time.perf_counter()
        result = work(*given)
        seconds.setdefault(name, []).append(time.perf_counter() - start_time)
        return result

    def search(queries: np.ndarray, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        flat = faiss.IndexFlatIP(dimension)
        flat.add(index)
        return flat.search(queries, K)

    extra_memory = 0
    for _ in range(options.rounds):
        Path("/proc/self/clear_refs").write_text("5")  # reset the peak
        before = _memory("VmRSS")
        of_x, of_y = measure("xlift: neighbours, both directions", find_neighbours, x, y, K)
        extra_memory = max(extra_memory, _memory("VmHWM") - before)
        measure("xlift: scores of the candidates", score_candidates, of_x, of_y)
        mined = measure("xlift: scores and the choice of pairs", choose_pairs, of_x, of_y)
        found, index = measure("faiss: one direction", search, x, y)
        measure("faiss: the other direction", search, y, x)
        assert (index == of_x.index).mean() > 0.9999, "faiss finds other neighbours"
    best = {name: min(times) for name, times in seconds.items()}
    ours = best["xlift: neighbours, both directions"] + best["xlift: scores and the choice of pairs"]
    both = best["faiss: one direction"] + best["faiss: the other direction"]

    rows = min(n, options.slice // K)
    start_time = time.perf_counter()
    _double_loop(x[:rows], y, index[:rows], found.mean(axis=1), of_y.similarity.mean(axis=1))
    each = (time.perf_counter() - start_time) / (rows * K)
    loop = each * 2 * n * K

    print(f"{n:,} x {n:,} sentences, {dimension} dimensions, {options.threads} threads, best of {options.rounds}\n")
    print("| | seconds | sentences/s |\n| --- | ---: | ---: |")
    for name, value in (*best.items(), ("xlift: total", ours), ("faiss: both directions", both)):
        print(f"| {name} | {value:.2f} | {2 * n / value:,.0f} |")
    print(
        f"| double loop: scores of {2 * n * K:,} candidates (from {rows * K:,} at {1e6 * each:.2f} µs) | {loop:.2f} | |"
    )
    print(
        f"| as the script: faiss in both directions, double loop | {both + loop:.2f} | {2 * n / (both + loop):,.0f} |"
    )
    print(f"| double loop over all {n * n:,} pairs, at the same cost each | {each * n * n:,.0f} | |\n")
    print(
        f"scoring: {loop / best['xlift: scores of the candidates']:.0f} times as fast as the double loop over candidates"
    )
    print(f"total: {each * n * n / ours:.0f} times as fast as a double loop over all pairs, "
          f"{(both + loop) / ours:.2f} times as fast as the script")  # fmt: skip
    print(f"neighbours: {both / best['xlift: neighbours, both directions']:.2f} times as fast as faiss in both directions, "
          f"{best['faiss: one direction'] / best['xlift: neighbours, both directions']:.2f} as fast as faiss in one")  # fmt: skip
    print(
        f"pairs mined: {len(mined.score):,}; memory in addition to the vectors ({(x.nbytes + y.nbytes) / 1e6:,.0f} MB): {extra_memory / 1e6:,.0f} MB"
    )
    scale = (400_000 / n) ** 2 * 1024 / dimension
    held = 2 * 400_000 * (1024 * 4 + K * 12) / 1e9
    print(
        f"400,000 x 400,000 x 1,024 at this rate: {ours * scale / 60:,.0f} minutes, {held:.1f} GB of vectors and neighbours"
    )


def _collections(n: int, dimension: int) -> tuple[Any, Any]:
    """Unit vectors of two collections. The second half of each has no counterpart."""
    import numpy as np

    from xlift.tasks.nearest import unit_vectors

    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal((n, dimension), dtype=np.float32) for _ in range(2))
    y[: n // 2] = 0.6 * y[: n // 2] + x[: n // 2]
    return unit_vectors(x), unit_vectors(y)


def _double_loop(x: Any, y: Any, candidates: Any, mean_x: Any, mean_y: Any) -> Any:
    """The ratio margin of every candidate, one dot product at a time, as in XTREME's script."""
    import numpy as np

    scores = np.zeros(candidates.shape)
    for i in range(candidates.shape[0]):
        for j in range(candidates.shape[1]):
            other = candidates[i, j]
            scores[i, j] = x[i].dot(y[other]) / ((mean_x[i] + mean_y[other]) / 2)
    return scores


def _memory(name: str) -> int:
    """Bytes in use by this process ('VmRSS') or their peak since the last reset ('VmHWM'); Linux only."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main()
