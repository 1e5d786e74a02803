"""Which published data sets derive from which others. Comparing texts cannot find this if they were translated or
rewritten.

Data only. `xlift contamination` names a relation if a pipeline trains on one data set and is scored on the other.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Relation:
    trained: tuple[str, ...]
    """Tasks, or 'task/split' for a single split."""
    scored: tuple[str, ...]
    """As `trained`."""
    is_contamination: bool
    """True: training shows scored items or their translations. False: different items from the same origin."""
    description: str
    same_split: bool = False
    """Whether it applies only between equal splits, such as dev and dev."""

    def applies_to(self, trained: tuple[str, str], scored: tuple[str, str]) -> bool:
        """Whether it applies to these two (task, split)."""
        if self.same_split and trained[1] != scored[1]:
            return False
        return _matches(trained, self.trained) and _matches(scored, self.scored)


def _matches(data: tuple[str, str], names: tuple[str, ...]) -> bool:
    return data[0] in names or "/".join(data) in names


SQUAD_TRAIN = ("squad/train", "squad2/train", "squad-mt", "lareqa/train")
SQUAD_DEV = ("squad/dev", "squad2/dev", "lareqa/dev")
XQUAD_ITEMS = ("xquad/test", "xquad-articles/train", "xquad-articles/test", "lareqa/test")
XNLI_ITEMS = (
    "xnli/dev", "xnli/test", "xnli-typos/test", "americasnli/dev", "americasnli/test", "afrixnli/dev", "afrixnli/test",
)  # fmt: skip
FLORES_PAIRS = ("flores200-to-en", "flores200-from-en")
SIB_PAIRS = ("sib200-to-en", "sib200-from-en")

RELATIONS: tuple[Relation, ...] = (
    Relation(
        SQUAD_DEV, XQUAD_ITEMS, True,
        "XQuAD is 240 paragraphs and 1,190 questions of SQuAD v1.1's dev set in human translation, and LAReQA's XQuAD-R is "
        "XQuAD (Artetxe et al. 2020, Roy et al. 2020).",
    ),
    Relation(
        SQUAD_TRAIN, XQUAD_ITEMS, False,
        "SQuAD's training articles differ from those of its dev set, the source of XQuAD and LAReQA.",
    ),
    Relation(
        XQUAD_ITEMS, ("xquad/test", "lareqa/test"), True,
        "XQuAD and LAReQA's XQuAD-R are the same questions and paragraphs, and xquad-articles is a part of them; they are "
        "parallel in all languages.",
    ),
    Relation(
        ("xquad-articles/train",), ("xquad-articles/test",), False,
        "XQuAD is parallel: its articles are the same in all languages. No article is in both train and test here.",
    ),
    Relation(
        SQUAD_DEV, SQUAD_DEV, True,
        "SQuAD v2.0 holds the questions of v1.1 and adds unanswerable ones, in the same splits (Rajpurkar et al. 2018).",
    ),
    Relation(
        (*SQUAD_TRAIN, *SQUAD_DEV, "tydiqa/train", "squadshifts/train"), ("mlqa/dev", "mlqa/test"), False,
        "SQuAD, SQuADShifts, TyDiQA and MLQA use paragraphs of Wikipedia; their articles may overlap.",
    ),
    Relation(
        ("tydiqa/train", "tydiqa-translate-train"), ("tydiqa/test",), False,
        "The test set of TyDiQA-GoldP in XTREME is its published dev set: a recipe chosen on that dev set was chosen "
        "on test data.",
    ),
    Relation(
        ("tydiqa/test",), ("tydiqa/test",), True,
        "The test set of TyDiQA-GoldP in XTREME is its published dev set: this stage trains on it.",
    ),
    Relation(
        ("mnli", "anli-plus", "xnli-mt", "xnli-translate-train", "kornli", "litl-nli", "indonli-mt"), XNLI_ITEMS, False,
        "XNLI's pairs were collected like MNLI's, from its ten genres, and are different items (Conneau et al. 2018); the "
        "training sets xnli-mt, KorNLI and indonli-mt are machine translations of MNLI and SNLI, and litl-nli has premises of "
        "MNLI.",
    ),
    Relation(
        ("snli/dev", "snli/test", "esnli"), ("snli/dev", "snli/test", "esnli"), True,
        "e-SNLI's files are the dev and test sets of SNLI (Camburu et al. 2018).",
        same_split=True,
    ),
    Relation(
        ("sick",), ("sick",), True,
        "SICK-NL is parallel with SICK: the same pairs in both languages (Wijnholds and Moortgat 2021).",
        same_split=True,
    ),
    Relation(
        ("bipar",), ("bipar",), True,
        "BiPaR is parallel: the same questions in both languages (Jing et al. 2019).",
        same_split=True,
    ),
    Relation(
        XNLI_ITEMS, XNLI_ITEMS, True,
        "The same items: XNLI's dev and test are parallel in all languages, AmericasNLI is translated from its Spanish and "
        "AfriXNLI from its English, and the typo sets are its test set with misspellings.",
        same_split=True,
    ),
    Relation(
        ("copa/dev", "xcopa/dev"), ("copa/dev", "xcopa/dev"), True,
        "XCOPA's validation set is 100 translated items of COPA's, parallel in all languages (Ponti et al. 2020).",
    ),
    Relation(
        ("xcopa/test",), ("xcopa/test",), True,
        "XCOPA is parallel: its test set is the 500 test items of COPA in every language (Ponti et al. 2020).",
    ),
    Relation(
        ("socialiqa", "copa/train"), ("copa/dev", "xcopa/dev", "xcopa/test"), False,
        "SocialIQA, COPA and XCOPA ask for causes and effects of everyday events, and SocialIQA was proposed as training data "
        "for COPA (Sap et al. 2019). The items differ.",
    ),
    Relation(
        ("pawsx/dev", "pawsx/test"), ("pawsx/dev", "pawsx/test"), True,
        "PAWS-X's dev and test are parallel: the same pairs in all languages (Yang et al. 2019).",
        same_split=True,
    ),
    Relation(
        ("udpos", "udpos-pud"), ("multiblimp",), True,
        "MultiBLiMP's right sentences are sentences of Universal Dependencies, of whole treebanks (Jumelet et al. 2025).",
    ),
    Relation(
        ("flores200", *FLORES_PAIRS), ("sib200", *SIB_PAIRS, "belebele"), True,
        "SIB-200 labels sentences of FLORES-200, and Belebele asks about them (Adelani et al. 2024, Bandarkar et al. 2024).",
    ),
    Relation(
        ("sib200", "sib200-parallel", *SIB_PAIRS), ("flores200", *FLORES_PAIRS, "belebele"), True,
        "SIB-200 labels sentences of FLORES-200, and Belebele's passages are made of them; SIB-200 has different splits.",
    ),
    Relation(
        ("belebele",), ("flores200", *FLORES_PAIRS, "sib200", *SIB_PAIRS), True,
        "Belebele's passages are made of sentences of FLORES-200, which SIB-200 labels.",
    ),
    Relation(
        ("wikipedia",), ("xquad", "xquad-articles", "lareqa", "mlqa", "tydiqa", "pawsx", "panx", "bucc2018", "mewslix"), False,
        "These data sets are made from Wikipedia: a model pretrained on it may have read their texts, without labels.",
    ),
)  # fmt: skip
