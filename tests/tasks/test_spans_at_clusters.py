"""Answers of span QA are whole characters, whatever a tokenizer's normalizer does to offsets.

The tokenizers are real ones of the library `tokenizers`, with the normalizers of published models: NFC (Qwen), NFKC
(XLM-R, mT5), NFD, and accent stripping with lower case (uncased BERT). Every normalized character is a token, so a
target must decode to exactly the answer.
"""

from __future__ import annotations

import unicodedata
from functools import cache

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.support.profile import scaled
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from xlift.tasks import formats
from xlift.tasks.formats.span_qa import SpanExample
from xlift.tasks.formats.span_scores import MAX_ANSWER_TOKENS
from xlift.tasks.grapheme_clusters import clusters, widen_span

FORMAT = formats.get("span-qa")
NORMALIZERS = {
    "none": [],
    "NFC": [normalizers.NFC()],
    "NFD": [normalizers.NFD()],
    "NFKC": [normalizers.NFKC()],
    "uncased": [normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase()],
    "uncased BERT": [normalizers.BertNormalizer(lowercase=True)],
}


@cache
def tokenizer(name: str, *, by_bytes: bool = False) -> PreTrainedTokenizerFast:
    """A tokenizer with one token for each normalized character, or for each byte of it."""
    if by_bytes:
        vocabulary = {letter: n for n, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()), start=4)}
        splitter = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    else:
        vocabulary, splitter = {}, pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    specials = {"<s>": 0, "</s>": 1, "<unk>": 2, "<pad>": 3}
    built = Tokenizer(models.BPE({**specials, **vocabulary}, [], unk_token="<unk>"))
    built.normalizer = normalizers.Sequence(NORMALIZERS[name])
    built.pre_tokenizer = splitter
    built.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=built, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>",
        model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip


def decode_targets(example: SpanExample, name: str, *, by_bytes: bool = False) -> str:
    """The answer that a model gives whose scores are the training targets."""
    features = FORMAT.features(
        [example], tokenizer(name, by_bytes=by_bytes), (), max_length=4000, train=False, stride=4000
    )
    assert len(features) == 1
    scores = np.zeros((2, len(features.input_ids[0])))
    scores[0, features.targets["start"][0]] = scores[1, features.targets["end"][0]] = 10.0
    (answer,) = FORMAT.decode([example], features, [scores], ())
    return answer


TEXTS = {
    "Latin": ("le vieux Café de Bébé à Oslo", "Café"),
    "Vietnamese": ("họ sống ở thành phố Huế từ lâu", "Huế"),
    "Devanagari": ("राजधानी नई दिल्ली में है", "दिल्ली"),
    "Thai": ("เขาอยู่ที่เมืองน่านมานาน", "น่าน"),
    "Hangul": ("그는 한국 사람입니다", "한국"),
    "Arabic": ("ذَهَبَ الوَلَدُ إِلَى بَيْتٍ كبير", "بَيْتٍ"),
    "Hebrew": ("בְּרֵאשִׁית בָּרָא אֱלֹהִים", "בָּרָא"),
    "emoji": ("see 👩🏽‍🚀 and 👨‍👩‍👧 and 🇹🇭 here", "👨‍👩‍👧"),
    "Japanese": ("東京ではガラスを売る", "ガラス"),
    "half-width kana": ("東京でｶﾞﾗｽを売る", "ｶﾞ"),
    "ligature": ("an oﬃce in town", "oﬃce"),
}


@pytest.mark.parametrize("name", NORMALIZERS)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("script", TEXTS)
def test_a_target_decodes_to_the_answer(script: str, form: str, name: str):
    context, answer = TEXTS[script]
    if script not in ("half-width kana", "ligature"):
        context, answer = (unicodedata.normalize(form, text) for text in (context, answer))
    example = SpanExample("0", context, "where?", (answer,), (context.index(answer),))
    assert decode_targets(example, name) == answer


@pytest.mark.parametrize("name", ["NFC", "NFKC", "uncased"])
def test_an_answer_that_is_annotated_inside_of_a_cluster_is_widened(name: str):
    context = "at Cafe\u0301 and Be\u0301be\u0301 today"
    start = context.index("Cafe")
    for answer, first in (("Cafe", start), ("\u0301 and Be", context.index("\u0301 and"))):
        example = SpanExample("0", context, "?", (answer,), (first,))
        left, right = widen_span(context, first, first + len(answer))
        assert decode_targets(example, name) == context[left:right]
    assert context[left:right] == "e\u0301 and Be\u0301"


LETTERS = st.sampled_from(
    ["a", "e\u0301", "é", "ế", "e\u0302\u0301", "o\u0308\u0323", "ﬁ", "½", "ß", "İ", "क्षि", "दिल्", "ली", "ท", "น่า", "กำ", "한",
     "\u1112\u1161\u11ab", "بَ", "يْ", "لا", "בְּ", "👩🏽‍🚀", "👨‍👩‍👧", "🇹🇭", "☝🏽", "ｶﾞ", "가", " ", "\n", "\r\n", ".", "1\u20e3"]
)  # fmt: skip


@settings(max_examples=scaled(200))
@given(parts=st.lists(LETTERS, min_size=1, max_size=12), data=st.data())
@pytest.mark.parametrize("by_bytes", [False, True], ids=["characters", "bytes"])
@pytest.mark.parametrize("name", NORMALIZERS)
def test_any_answer_of_whole_clusters_is_the_text_of_its_target(name: str, by_bytes: bool, parts: list[str], data):
    context = "".join(parts)
    pieces = clusters(context)  # neighbours may have joined
    first = data.draw(st.integers(0, len(pieces) - 1))
    last = data.draw(st.integers(first, min(len(pieces) - 1, first + 2)))
    answer = "".join(pieces[first : last + 1])
    assume(answer.strip() == answer)
    assume(len(unicodedata.normalize("NFKD", answer).encode()) <= MAX_ANSWER_TOKENS)
    example = SpanExample("0", context, "?", (answer,), (sum(map(len, pieces[:first])),))
    assert decode_targets(example, name, by_bytes=by_bytes) == answer


@settings(max_examples=scaled(200))
@given(context=st.lists(LETTERS | st.characters(exclude_categories=["Cs"]), min_size=1).map("".join), data=st.data())
@pytest.mark.parametrize("name", NORMALIZERS)
def test_in_any_text_an_answer_ends_at_clusters_and_has_all_that_the_tokens_have(name: str, context: str, data):
    # A tokenizer drops some clusters as a whole (a control character, an accent without a letter): they have no token.
    edges = np.cumsum([0, *map(len, clusters(context))]).tolist()
    first = data.draw(st.integers(0, len(edges) - 2))
    start, stop = edges[first], edges[data.draw(st.integers(first + 1, min(len(edges) - 1, first + 4)))]
    answer = context[start:stop]
    assume(answer.strip())
    example = SpanExample("0", context, "?", (answer,), (start,))
    decoded = decode_targets(example, name)
    encoded = tokenizer(name)([context], add_special_tokens=False, return_offsets_mapping=True)
    spans = [widen_span(context, left, right) for left, right in encoded["offset_mapping"][0]]
    inside = [(left, right) for left, right in spans if left < stop and right > start]
    if inside:
        assert decoded == context[min(inside)[0] : max(right for _, right in inside)].strip()
        assert decoded in answer
