"""BLEU (Papineni et al. 2002) and spBLEU (Goyal et al. 2022) of a corpus, as sacrebleu computes them (Post 2018).

sacrebleu counts the words and matches of each sentence. The counts add up, and their sums give the score of a set of
sentences: up to rounding, what the command `sacrebleu` prints, but in 0..1. Smoothing 'exp', mixed case, one reference.

Tokenization is sacrebleu's 13a; 'zh' for Chinese; 'char' for languages written without spaces and for Korean. For
Japanese and Korean sacrebleu itself uses a morphological analyser (MeCab) if it is installed; a score must not depend
on that. spBLEU has one rule for all languages, the SentencePiece model of FLORES-200.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from xlift.archipelago.languages import GENERATED_LANGUAGES
from xlift.errors import UserError
from xlift.language_tags import find_language
from xlift.languages import LANGUAGES
from xlift.tasks.metrics.base import Metric

ORDERS = 4
"""Longest n-gram."""
TOKENIZERS = {
    "Hans": "zh", "Hant": "zh",
    **dict.fromkeys(("Jpan", "Kore", "Thai", "Laoo", "Khmr", "Mymr", "Tibt"), "char"),
}  # fmt: skip
"""Script -> sacrebleu's tokenizer; every other script: 13a."""
_SCRIPTS = {language.code: language.script for language in LANGUAGES}
FLORES_MODEL = "flores200sacrebleuspm"


def tokenizer_of(language: str) -> str:
    """Name of sacrebleu's tokenizer for a target language; 13a for an unknown one."""
    known = find_language(language)
    return TOKENIZERS.get(known.script if known else "", "13a")


def _unknown_language(language: str) -> str:
    is_known = language in GENERATED_LANGUAGES or find_language(language)
    return "" if is_known else "sacrebleu's tokenization 13a, for text with spaces"


def bleu_counts(gold: dict[str, Any], prediction: str) -> tuple[float, ...]:
    """(predicted words, reference words, matching 1- to 4-grams, predicted 1- to 4-grams) of one sentence.

    Args:
        gold: 'text', the reference (None: all counts are 0), and 'language', its language.
    """
    return _counts(_scorer(tokenizer_of(gold["language"])), gold["text"], prediction)


def spbleu_counts(gold: dict[str, Any], prediction: str) -> tuple[float, ...]:
    """As `bleu_counts`, with tokens of FLORES-200's SentencePiece model.

    Raises:
        UserError: the model is not on this machine, or the package sentencepiece is not installed.
    """
    return _counts(_sentencepiece_scorer(), gold["text"], prediction)


def bleu(sums: np.ndarray) -> np.ndarray:
    """(..., 10) -> (...) BLEU in 0..1, as `sacrebleu.BLEU.compute_bleu` with smoothing 'exp': of the orders with
    n-grams but without a match, the first counts half a match, the next a quarter, and so on. 0 if nothing matches or
    an order has no n-grams."""
    sums = np.asarray(sums, dtype=float)
    predicted, reference = sums[..., 0], sums[..., 1]
    matches, total = sums[..., 2 : 2 + ORDERS], sums[..., 2 + ORDERS :]
    with np.errstate(divide="ignore", invalid="ignore"):
        penalty = np.where(predicted < reference, np.exp(1 - reference / predicted), 1.0)
        unmatched = (matches == 0) & (total > 0)
        smoothed = np.where(unmatched, 1 / 2.0 ** np.cumsum(unmatched, axis=-1), matches)
        precision = np.where(total > 0, smoothed / total, 0.0)
        score = penalty * np.exp(np.log(precision).mean(axis=-1))
    return np.where((matches > 0).any(axis=-1) & (predicted > 0), score, 0.0)


def bleu_signature() -> str:
    """sacrebleu's signature; `tok` depends on the target language."""
    others = sorted(code for code, script in _SCRIPTS.items() if TOKENIZERS.get(script) == "char")
    return _signature(_scorer("13a")).replace("tok:13a", f"tok:13a (zh, yue: zh; {', '.join(others)}: char)")


def spbleu_signature() -> str:
    return _signature(_scorer("13a")).replace("tok:13a", "tok:flores200")


def _counts(scorer: Any, reference: str | None, prediction: str) -> tuple[float, ...]:
    if reference is None:
        return (0.0,) * (2 + 2 * ORDERS)
    (statistics,) = scorer._extract_corpus_statistics([prediction], [[reference]])
    return tuple(map(float, statistics))


def _signature(scorer: Any) -> str:
    scorer.corpus_score(["a"], [["a"]])  # sets the number of references in the signature
    return scorer.get_signature().format()


@lru_cache(maxsize=8)
def _scorer(tokenizer: str) -> Any:
    import sacrebleu  # slow to import, and few studies translate

    # `force` silences a warning about tokenized text, which is wrong for single sentences.
    return sacrebleu.BLEU(tokenize=tokenizer, force=True)


@lru_cache(maxsize=1)
def _sentencepiece_scorer() -> Any:
    import importlib.util
    from pathlib import Path

    from sacrebleu import SACREBLEU_DIR

    fix = "run `pip install sentencepiece`, then `sacrebleu --tokenize flores200` once to download the model; "
    fix += "or use the metrics bleu and chrf++, which need neither."
    if importlib.util.find_spec("sentencepiece") is None:
        raise UserError("spBLEU needs the package sentencepiece, which is not installed", fix=fix)
    model = Path(SACREBLEU_DIR) / "models" / FLORES_MODEL
    if not model.is_file():  # checked here, since sacrebleu would download it
        raise UserError("spBLEU needs FLORES-200's SentencePiece model, which is missing", where=str(model), fix=fix)
    return _scorer("flores200")


_COUNT_NAMES = (
    "predicted", "reference", *(f"matches of {n}" for n in range(1, ORDERS + 1)),
    *(f"n-grams of {n}" for n in range(1, ORDERS + 1)),
)  # fmt: skip


def _metric(name: str, title: str, counts: Callable[..., tuple[float, ...]], **more: Any) -> Metric:
    return Metric(name, title, _COUNT_NAMES, counts, bleu, formats=("translation",), **more)


BLEU = _metric("bleu", "BLEU (sacrebleu)", bleu_counts, signature=bleu_signature, unknown_language=_unknown_language)
SPBLEU = _metric("spbleu", "spBLEU (sacrebleu, FLORES-200's SentencePiece)", spbleu_counts, signature=spbleu_signature)
