"""What `xlift predict` writes of each answer: probabilities of all labels, and only answers above a threshold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from xlift.errors import UserError
from xlift.execution.file_prediction.predictor import Prediction
from xlift.models.export import ExportMetadata
from xlift.tasks import formats
from xlift.tasks.formats.base import ScoredAnswer


@dataclass(frozen=True)
class AnswerOptions:
    probabilities: bool = False
    threshold: float | None = None
    """The least score of an answer. Of multi-label classification: the least probability of each label, 0.5 where None."""
    below: str = ""
    """The label of an answer with a lower score."""

    def check(self, metadata: ExportMetadata) -> None:
        """Raise UserError if the model has no such scores."""
        format, is_text = formats.get(metadata.format), metadata.is_text_mode
        chooses = bool(format.candidates) if is_text else format.has_probabilities or format.has_label_probabilities
        if self.probabilities and not (format.has_label_probabilities and chooses):
            raise UserError(
                f"this {metadata.format} model has no probability for each label",
                where="--probabilities",
                fix="Leave it out: only models that choose from a list of labels have them.",
            )
        if self.below and self.threshold is None:
            raise UserError("--below needs a threshold", where="--below", fix="Add --threshold 0.5, for example.")
        if self.threshold is None:
            return
        if not chooses:
            raise UserError(
                f"the answers of this {metadata.format} model have no probability",
                where="--threshold",
                fix="Leave it out.",
            )
        if format.tags_words and not self.below:
            raise UserError(
                "every word needs a tag", where="--threshold", fix="Name the tag of uncertain words: --below O."
            )

    def apply(self, predictions: Iterable[Prediction], metadata: ExportMetadata) -> Iterator[Prediction]:
        """The predictions with the labels that the threshold leaves."""
        if self.threshold is None:
            yield from predictions
            return
        format = formats.get(metadata.format)
        for each in predictions:
            scored = ScoredAnswer(each.label, each.score, each.scores, each.probabilities)
            yield replace(each, label=format.apply_threshold(scored, self.threshold, self.below, metadata.labels))
