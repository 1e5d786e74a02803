"""`xlift predict`: predictions of an exported model for the rows of a user's file.

`input_rows.py` reads the file, `predictor.py` runs the model, `answer_options.py` applies a threshold, `output_files.py` writes
the predictions, `progress_bar.py` shows how far it is. A file is read twice: the first pass only checks the rows. Standard
input is read once.
"""

from __future__ import annotations

from xlift.execution.file_prediction.answer_options import AnswerOptions
from xlift.execution.file_prediction.input_rows import STREAMED, InputRow, InputRows
from xlift.execution.file_prediction.output_files import OutputColumns, PredictionWriter, check_extension
from xlift.execution.file_prediction.predictor import Prediction, load_exported_model, predict_rows

__all__ = [
    "STREAMED", "AnswerOptions", "InputRow", "InputRows", "OutputColumns", "Prediction", "PredictionWriter", "check_extension",
    "load_exported_model", "predict_rows",
]  # fmt: skip
