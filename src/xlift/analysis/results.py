"""The results of studies for Python, pandas and SQL: what `xlift.load` returns.

import xlift

scores = xlift.load("xlift-store").scores("quickstart")
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import finalize

from xlift.analysis.example_predictions import ExamplePrediction, read_examples, select_cells
from xlift.analysis.lift import LiftRow, compute_lifts
from xlift.analysis.prediction_tables import prediction_schema, read_tables
from xlift.analysis.result_tables import make_schema, make_table, to_frame
from xlift.analysis.scores import load_cells
from xlift.analysis.seed_scores import SeedScore, seed_scores
from xlift.errors import UserError, did_you_mean
from xlift.studies.bundle import store_of_bundle
from xlift.studies.bundle_files import is_bundle
from xlift.studies.object_storage import is_url
from xlift.studies.plan import Cell
from xlift.studies.record import Record, list_studies, read_record
from xlift.studies.store import Store

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


class Results:
    """The results of some studies. Frames are pandas DataFrames; scores and lifts are fractions, not percent.

    Args:
        stores: name of a study -> the store that has it.
    """

    def __init__(self, stores: Mapping[str, Store]) -> None:
        self._stores = dict(stores)

    def studies(self) -> list[str]:
        """Names of the studies."""
        return list(self._stores)

    def scores(self, *studies: str, every_metric: bool = False, means: bool = False) -> pd.DataFrame:
        """The score of every seed: a row for each pipeline, target, language, noise, metric and seed (`SeedScore`).

        Args:
            studies: names; none for all.
            every_metric: score all metrics of a task; otherwise the first.
            means: also give the means over languages and targets ('all', 'zero-shot'), seed by seed.

        Raises:
            UserError: there is no such study, or an artifact is damaged.
        """
        return to_frame(self.score_table(studies, every_metric=every_metric, means=means))

    def lifts(self, *studies: str, every_metric: bool = False) -> pd.DataFrame:
        """The rows of `xlift report --json`: the score and lift of every pipeline with their intervals (`LiftRow`).

        Args and errors are those of `scores`.
        """
        return to_frame(self.lift_table(studies, every_metric=every_metric))

    def predictions(
        self,
        study: str,
        *,
        target: str | Collection[str] = (),
        language: str | Collection[str] = (),
        model: str | Collection[str] = (),
        intermediate: str | Collection[str] = (),
        seed: int | Collection[int] = (),
    ) -> pd.DataFrame:
        """The prediction of every example: a row for each run and example (`ExamplePrediction`).

        Args:
            target, language, model, intermediate, seed: one value or several; none for all.

        Raises:
            UserError: there is no such study or value, or an artifact is damaged.
        """
        chosen: dict[str, Collection[Any]] = {
            "target": _several(target),
            "language": _several(language),
            "model": _several(model),
            "intermediate": _several(intermediate),
            "seed": _several(seed),
        }
        schema = make_schema(ExamplePrediction)
        tables = [table.cast(schema) for table in self.iterate_prediction_tables([study], **chosen)]
        return to_frame(_concatenate(schema, tables))

    def sql(self, query: str, *, every_metric: bool = False) -> pd.DataFrame:
        """The result of an SQL query (DuckDB) over the tables `scores`, `lifts` and `predictions` of all studies.

        Raises:
            UserError: DuckDB refuses the query, or an artifact is damaged.
        """
        return to_frame(self.query(query, every_metric=every_metric))

    def score_table(self, studies: Sequence[str] = (), *, every_metric: bool = False, means: bool = False) -> pa.Table:
        """As `scores`, as an Arrow table."""
        rows = [
            row
            for name in studies or self._stores
            for row in seed_scores(*self._open(name), every_metric=every_metric, means=means)
        ]
        return make_table(SeedScore, rows)

    def lift_table(self, studies: Sequence[str] = (), *, every_metric: bool = False) -> pa.Table:
        """As `lifts`, as an Arrow table."""
        rows: list[LiftRow] = []
        for name in studies or self._stores:
            record, store = self._open(name)
            rows += compute_lifts(load_cells(record, store, every_metric=every_metric)[0], name)
        return make_table(LiftRow, rows)

    def iterate_predictions(
        self, studies: Sequence[str] = (), **chosen: Collection[Any]
    ) -> Iterator[ExamplePrediction]:
        """The predictions of studies, one cell in memory at a time.

        Args:
            chosen: field of a cell -> the chosen values; none for all.
        """
        for record, store, cells in self._select(studies, chosen):
            for cell in cells:
                yield from read_examples(record, store, cell)

    def iterate_prediction_tables(
        self, studies: Sequence[str] = (), columns: Collection[str] | None = None, **chosen: Collection[Any]
    ) -> Iterator[pa.Table]:
        """As `iterate_predictions`, as tables of `prediction_schema`.

        Args:
            columns: names; None for all.
        """
        for record, store, cells in self._select(studies, chosen):
            yield from read_tables(record, store, cells, columns)

    def _select(
        self, studies: Sequence[str], chosen: Mapping[str, Collection[Any]]
    ) -> Iterator[tuple[Record, Store, list[Cell]]]:
        """The finished cells of each study. Raises UserError for a value that the study does not have."""
        for name in studies or self._stores:
            record, store = self._open(name)
            for field, values in chosen.items():
                known = dict.fromkeys(getattr(cell, field) for cell in record.cells)
                if unknown := [value for value in values if value not in known]:
                    raise UserError(
                        f"the study '{name}' has no {field} {unknown[0]!r}",
                        where=store.where,
                        fix=f"{did_you_mean(str(unknown[0]), tuple(map(str, known)))}It has: {', '.join(map(str, known))}.",
                    )
            yield record, store, select_cells(record, store, **chosen)

    def query(self, query: str, *, every_metric: bool = False) -> pa.Table:
        """As `sql`, as an Arrow table."""
        from xlift.analysis.sql import run_query

        return run_query(
            query,
            {
                "scores": (make_schema(SeedScore), lambda columns: self.score_table(every_metric=every_metric)),
                "lifts": (make_schema(LiftRow), lambda columns: self.lift_table(every_metric=every_metric)),
                "predictions": (
                    prediction_schema(),
                    lambda columns: _concatenate(
                        prediction_schema(columns), list(self.iterate_prediction_tables(columns=columns))
                    ),
                ),
            },
        )

    def _open(self, name: str) -> tuple[Record, Store]:
        if name not in self._stores:
            raise UserError(
                f"there is no study '{name}'",
                fix=f"{did_you_mean(name, tuple(self._stores))}There are: {', '.join(self._stores) or 'none'}.",
            )
        return read_record(self._stores[name], name), self._stores[name]

    def __repr__(self) -> str:
        return f"<xlift results of {', '.join(self._stores) or 'no study'}>"


def load(store: str | Path = "xlift-store") -> Results:
    """The results of the studies in a store (a folder or a URL), or of a bundle (`xlift store export --results`).

    Raises:
        UserError: there is no such folder or file, or it is damaged.
    """
    path = Path(store)
    if not is_url(store) and is_bundle(path):
        stack = ExitStack()
        name, opened = stack.enter_context(store_of_bundle(path))
        results = Results({name: opened})
        finalize(results, stack.close)  # removes the unpacked files
        return results
    if not is_url(store) and not path.exists():
        raise UserError(f"no store at '{path}'", fix="Give the folder of a store, or a bundle.")
    opened = Store(store)
    return Results(dict.fromkeys(list_studies(opened), opened))


def _several(values: Any) -> Collection[Any]:
    return (values,) if isinstance(values, str | int) else tuple(values)


def _concatenate(schema: pa.Schema, tables: Sequence[pa.Table]) -> pa.Table:
    import pyarrow as pa

    return pa.concat_tables([schema.empty_table(), *tables])
