"""`xlift predict`: predictions of an exported model for the rows of a user's file.

`input_rows.py` reads the file, `predictor.py` runs the model, `output_files.py` writes the predictions. The file is read
twice: the first pass only checks the rows.
"""

from __future__ import annotations

from xlift.execution.file_prediction.input_rows import InputRow, InputRows
from xlift.execution.file_prediction.output_files import WRITERS, find_writer
from xlift.execution.file_prediction.predictor import Prediction, load_exported_model, predict_rows

__all__ = ["WRITERS", "InputRow", "InputRows", "Prediction", "find_writer", "load_exported_model", "predict_rows"]
