"""Tokenized prompts: equal to the tokens of whole texts, truncated correctly, and decoded again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import tiny
from tests.support.profile import scaled
from transformers import T5Tokenizer

from xlift.errors import UserError
from xlift.recipes import PromptSettings
from xlift.tasks import catalog, formats
from xlift.tasks.formats import encoding
from xlift.tasks.formats.classification import ClassificationExample
from xlift.tasks.formats.features import IGNORE_INDEX, Direction, Prompt
from xlift.tasks.formats.span_qa import SpanExample
from xlift.tasks.formats.tagging import TaggingExample
from xlift.tasks.formats.template import Template
from xlift.tasks.prompts import find_template
from xlift.tasks.prompts.tokenization import adapt_template, decode_answers, sentinel_ids, text_features

DECODERS = {
    **{name: tiny.generative_tokenizer(name) for name in tiny.DECODERS},
    **{name: tiny.tokenizer(name) for name in tiny.TOKENIZERS},
}
SEQ2SEQ = {name: tiny.generative_tokenizer(name) for name in tiny.SEQ2SEQ}
WORDS = [word for line in tiny.CORPUS for word in line.split()]
TEXT = st.lists(
    st.sampled_from(WORDS + ["yes,", "(no)", "7", "1984", "«ja»", "a:", "e\u0301"]), min_size=1, max_size=8
).map(" ".join)


def tokenize_one(prompt, tokenizer, family, max_length=512, train=True):
    return text_features([prompt], tokenizer, family, max_length=max_length, train=train)


def token_ids(tokenizer, text):
    return tokenizer(text, add_special_tokens=False)["input_ids"]


@settings(max_examples=scaled(40), deadline=None)
@given(source=TEXT, answer=TEXT, kind=st.sampled_from(sorted(DECODERS)))
def test_source_and_answer_of_a_decoder_have_the_tokens_of_the_whole_text(source, answer, kind):
    tokenizer = DECODERS[kind]
    features = tokenize_one(Prompt(source + ":", answer), tokenizer, "decoder")
    row, label = features.input_ids[0].tolist(), features.targets["label"][0].tolist()
    before = [] if kind == "qwen3" else [tokenizer.bos_token_id]
    assert row == [*before, *token_ids(tokenizer, f"{source}: {answer}"), tokenizer.eos_token_id]
    start = len(before) + len(token_ids(tokenizer, source + ":"))
    assert label[:start] == [IGNORE_INDEX] * start
    assert label[start:] == row[start:]
    # in prediction, the input ends before the answer, and the candidate has the tokens of the answer
    predicted = tokenize_one(Prompt(source + ": ", answer, (answer, "no")), tokenizer, "decoder", train=False)
    assert predicted.input_ids[0].tolist() == row[:start]
    assert predicted.extra["candidates"][0][0].tolist() == row[start:]
    assert predicted.targets == {}


@settings(max_examples=scaled(40), deadline=None)
@given(source=TEXT, answer=TEXT, kind=st.sampled_from(sorted(SEQ2SEQ)))
def test_an_encoder_decoder_model_has_the_special_tokens_of_its_tokenizer(source, answer, kind):
    tokenizer = SEQ2SEQ[kind]
    features = tokenize_one(Prompt(source, answer), tokenizer, "seq2seq")
    assert features.input_ids[0].tolist() == tokenizer(source)["input_ids"]
    assert features.decoder_labels is not None
    assert features.decoder_labels[0].tolist() == tokenizer(text_target=answer)["input_ids"]
    assert features.targets == {}
    predicted = tokenize_one(Prompt(source, answer, (answer,)), tokenizer, "seq2seq", train=False)
    assert predicted.decoder_labels is None
    assert predicted.extra["candidates"][0][0].tolist() == features.decoder_labels[0].tolist()


def test_an_empty_answer_is_only_an_end_token():
    features = tokenize_one(Prompt("tag: it rains", ""), SEQ2SEQ["mt5"], "seq2seq")
    assert features.decoder_labels is not None
    assert features.decoder_labels[0].tolist() == [SEQ2SEQ["mt5"].eos_token_id]
    row = tokenize_one(Prompt("tag: it rains", ""), DECODERS["qwen3"], "decoder").input_ids[0].tolist()
    assert row == [*token_ids(DECODERS["qwen3"], "tag: it rains"), DECODERS["qwen3"].eos_token_id]


def test_examples_without_an_answer_have_no_targets():
    assert set(tokenize_one(Prompt("a b", None), DECODERS["llama"], "decoder").targets["label"][0].tolist()) == {
        IGNORE_INDEX
    }
    outputs = tokenize_one(Prompt("a b", None), SEQ2SEQ["mt5"], "seq2seq").decoder_labels
    assert outputs is not None
    assert outputs[0].tolist() == []


def test_many_rows_are_tokenized_in_chunks_and_in_order(monkeypatch):
    calls = []
    original = encoding._encodings
    monkeypatch.setattr(
        encoding, "_encodings", lambda t, texts, **k: calls.append(len(texts)) or original(t, texts, **k)
    )
    prompts = (Prompt(f"{WORDS[i % 20]} {i}", str(i)) for i in range(2100))
    features = text_features(prompts, DECODERS["bpe"], "decoder", max_length=64, train=True)
    assert len(features) == 2100
    assert features.unit.tolist() == features.example_index.tolist() == list(range(2100))
    assert sorted(calls)[-4:] == [1000, 1000, 1000, 1000]  # sources and answers
    row = features.input_ids[2099].tolist()
    assert row[1:-1] == token_ids(DECODERS["bpe"], f"{WORDS[2099 % 20]} 2099 2099")


LONG = " ".join(tiny.CORPUS[:4])


@settings(max_examples=scaled(60), deadline=None)
@given(
    max_length=st.integers(12, 60), kind=st.sampled_from(["qwen3", "bpe", "unigram", "mt5", "nllb"]), both=st.booleans()
)
def test_long_inputs_are_truncated_from_the_left_of_the_longest_text(max_length, kind, both):
    family = "seq2seq" if kind in SEQ2SEQ else "decoder"
    tokenizer = (SEQ2SEQ | DECODERS)[kind]
    text_b = "in the garden" if both else None
    pair = ClassificationExample("0", LONG, text_b, "entailment")
    task = catalog.get("isle-nli")
    template = Template("x", "en", "the: {text_a} and {text_b} book:", label_words={"entailment": "yes"})
    prompt = formats.get("classification").prompt(pair, task.labels, template)
    features = tokenize_one(prompt, tokenizer, family, max_length, train=False)
    row = features.input_ids[0].tolist()
    whole = token_ids(tokenizer, prompt.source)
    specials = {"qwen3": 0, "nllb": 2}.get(kind, 1)  # <s> in front, </s> at the end, or a language token and </s>
    assert features.extra["shortened"][0] == (len(whole) > max_length - specials)
    assert len(row) <= max_length
    inner = row[1:] if family == "decoder" and specials else row[specials - 1 : -1] if specials else row
    room, least = max_length - specials, token_ids(tokenizer, prompt.source.replace(LONG, ""))
    if len(least) > room:  # too long even without the text
        assert inner == least[-room:]
        return
    head, tail = (
        token_ids(tokenizer, "the:"),
        token_ids(tokenizer, f"x and {text_b or ''} book:")[len(token_ids(tokenizer, "x")) :],
    )
    assert inner[: len(head)] == head
    assert inner[-len(tail) :] == tail
    left = inner[len(head) : -len(tail)]  # the end of the text
    assert not tokenizer.decode(left).strip() or token_ids(tokenizer, LONG)[-1] == left[-1]
    assert len(left) >= room - len(head) - len(tail) - 8 or not features.extra["shortened"][0]  # as much as fits


def test_a_truncated_text_begins_with_a_whole_character():
    # Tokens of bytes end between a letter and its accent; an accent alone would stand on the word before.
    text = "e\u0301a\u0308" * 30
    prompt = formats.get("span-qa").prompt(
        SpanExample("0", text, "who"), (), Template("x", "en", "text: {context} answer {question}:")
    )
    for max_length in range(30, 60):
        features = tokenize_one(prompt, DECODERS["bpe"], "decoder", max_length, train=False)
        kept = DECODERS["bpe"].decode(features.input_ids[0], skip_special_tokens=True)
        assert "\u0301" in kept
        assert kept.partition("text:")[2].strip()[0] in "ea"


@pytest.mark.parametrize("kind", ["qwen3", "mt5", "bpe"])
def test_a_sentence_is_truncated_between_words_together_with_its_tags(kind):
    family = "seq2seq" if kind == "mt5" else "decoder"
    tokenizer = (SEQ2SEQ | DECODERS)[kind]
    words, labels = (
        tuple(LONG.split())[:18],
        ("the", "book"),
    )  # as many words as sentinels; every tokenizer has the labels
    example = TaggingExample("0", words, tuple("the" if len(word) > 3 else "book" for word in words))
    format = formats.get("tagging")
    template = adapt_template(find_template(catalog.get("udpos"), PromptSettings(), "en"), tokenizer)
    prompt = format.prompt(example, labels, template)
    num_kept = set()
    for max_length in range(4, 250, 3):
        features = tokenize_one(prompt, tokenizer, family, max_length)
        if family == "seq2seq":
            source_ids, answer_ids = features.input_ids[0].tolist(), features.decoder_labels[0].tolist()
        else:
            answer_ids = [token for token in features.targets["label"][0].tolist() if token != IGNORE_INDEX]
            source_ids = features.input_ids[0].tolist()[: -len(answer_ids)]
        assert len(source_ids) <= max_length
        source, answer = decode_answers(tokenizer, [source_ids, answer_ids])
        kept = [word for n, word in enumerate(words) if template.word_marker.format(n=n) in answer.replace(" :", ":")]
        tags = format.parse(answer, example, ("missing", *labels), template)
        assert tags == [*(example.tags or ())[: len(kept)], *["missing"] * (len(words) - len(kept))]
        num_kept.add(len(kept))
        if kept and kind == "qwen3":  # its tokens decode to the exact text
            assert source.endswith(f"{words[len(kept) - 1]}\nTags:")
    assert {0, len(words)} < num_kept


def test_fewshot_examples_are_dropped_first_and_whole():
    tokenizer = DECODERS["qwen3"]
    fewshot_examples = tuple(f"the book {n}\n\n" for n in range(4))
    prompt = Prompt("in the garden:", "yes", fewshot_examples=fewshot_examples)
    count = len(token_ids(tokenizer, fewshot_examples[0]))
    for max_length in range(4, 30):
        row = tokenize_one(prompt, tokenizer, "decoder", max_length, train=False).input_ids[0].tolist()
        assert len(row) <= 5 * max_length
        text = tokenizer.decode(row)
        kept = text.count("the book")
        if kept:
            assert text == "".join(fewshot_examples[-kept:]) + prompt.source
        room = 5 * max_length - len(token_ids(tokenizer, prompt.source))
        assert kept == max(0, min(4, room // count))


def test_a_row_never_has_more_tokens_than_the_model_has_positions():
    prompt = Prompt("the book " * 300, "yes", fewshot_examples=("the book\n\n",) * 4, max_new_tokens=100)
    for kind, family, num_tokens in (("qwen3", "decoder", 412), ("mt5", "seq2seq", 512)):
        tokenizer = (SEQ2SEQ | DECODERS)[kind]
        assert tokenizer.model_max_length == 512
        assert len(tokenize_one(prompt, tokenizer, family, 400, train=False).input_ids[0]) == num_tokens


def test_mt5_sentinels_start_with_a_space_and_are_not_special_tokens():
    names = [f"▁<extra_id_{n}>" for n in reversed(range(3))]  # as in the vocabulary of its published checkpoints
    vocabulary = ["<pad>", "</s>", "<unk>", "▁", "▁the", "▁book", *names]
    tokenizer = T5Tokenizer(vocab=[(piece, -float(n)) for n, piece in enumerate(vocabulary)], extra_ids=0)
    assert tokenizer.convert_ids_to_tokens(list(sentinel_ids(tokenizer))) == names[::-1]
    ids = tokenizer("<extra_id_0> the <extra_id_1> book")["input_ids"]
    assert len(ids) == 5
    assert decode_answers(tokenizer, [ids]) == ["<extra_id_0> the <extra_id_1> book"]


def test_a_row_without_space_for_text_is_refused():
    with pytest.raises(UserError, match="max_length 1 leaves no room"):
        tokenize_one(Prompt("a b", "c"), SEQ2SEQ["mt5"], "seq2seq", max_length=1)


def test_sentinels_are_word_markers_if_the_tokenizer_has_them():
    mt5 = SEQ2SEQ["mt5"]
    assert len(sentinel_ids(mt5)) == tiny.SENTINELS
    assert mt5.convert_ids_to_tokens(list(sentinel_ids(mt5))[:2]) == ["<extra_id_0>", "<extra_id_1>"]
    assert all(sentinel_ids(tokenizer) == () for tokenizer in DECODERS.values())
    template = find_template(catalog.get("udpos"), PromptSettings(template="bare"), "en")
    assert adapt_template(template, DECODERS["qwen3"]) == template
    format, example = formats.get("tagging"), TaggingExample("0", ("the", "book"), ("X", "NOUN"))
    prompt = format.prompt(example, ("X", "NOUN"), adapt_template(template, mt5))
    # Raman et al. 2022: a sentinel before each word, and each sentinel with its tag
    assert prompt.source == "<extra_id_0> the <extra_id_1> book"
    assert prompt.answer == "<extra_id_0> X <extra_id_1> NOUN"
    row = tokenize_one(prompt, mt5, "seq2seq").input_ids[0].tolist()
    assert row[0] == sentinel_ids(mt5)[0]
    assert row.count(sentinel_ids(mt5)[1]) == 1


@settings(max_examples=scaled(40), deadline=None)
@given(
    words=st.lists(st.sampled_from([w for w in WORDS if w.isascii()]), min_size=1, max_size=12),
    kind=st.sampled_from(["qwen3", "llama", "bpe", "mt5"]), data=st.data(),
)  # fmt: skip
def test_tags_are_decoded_from_their_tokens(words, kind, data):
    family = "seq2seq" if kind == "mt5" else "decoder"
    tokenizer = (SEQ2SEQ | DECODERS)[kind]
    labels = ("the", "book", "old")  # every tokenizer has these words
    tags = tuple(data.draw(st.lists(st.sampled_from(labels), min_size=len(words), max_size=len(words))))
    example, format = TaggingExample("0", tuple(words), tags), formats.get("tagging")
    template = adapt_template(find_template(catalog.get("udpos"), PromptSettings(), "en"), tokenizer)
    features = tokenize_one(format.prompt(example, labels, template), tokenizer, family)
    answer_ids = features.decoder_labels[0] if family == "seq2seq" else features.targets["label"][0]
    (answer,) = decode_answers(tokenizer, [answer_ids[answer_ids != IGNORE_INDEX]])
    assert format.parse(answer, example, labels, template) == list(tags)


def test_an_answer_is_decoded_from_its_tokens():
    example = SpanExample("0", tiny.CORPUS[3], "where?", ("Paris in France",), (tiny.CORPUS[3].index("Paris"),))
    format = formats.get("span-qa")
    for kind, tokenizer in (SEQ2SEQ | DECODERS).items():
        family = "seq2seq" if kind in SEQ2SEQ else "decoder"
        template = find_template(catalog.get("squad"), PromptSettings(), "en")
        features = tokenize_one(format.prompt(example, (), template), tokenizer, family)
        answer_ids = features.decoder_labels[0] if family == "seq2seq" else features.targets["label"][0]
        (answer,) = decode_answers(tokenizer, [answer_ids[answer_ids != IGNORE_INDEX]])
        if "<unk>" not in tokenizer.convert_ids_to_tokens(answer_ids[answer_ids != IGNORE_INDEX].tolist()):
            assert format.parse(answer, example, (), template) == "Paris in France"


def test_translation_has_language_tokens_if_the_tokenizer_has_them():
    nllb, mbart, mt5 = (SEQ2SEQ[name] for name in ("nllb", "mbart", "mt5"))
    prompt = Prompt("translate: das Buch", "the book", direction=Direction("das Buch", "de", "en"))
    default_languages = nllb.src_lang, nllb.tgt_lang
    features = tokenize_one(prompt, nllb, "seq2seq")
    ids = nllb.convert_tokens_to_ids(["deu_Latn", "eng_Latn", "</s>"])
    assert features.input_ids[0].tolist() == [ids[0], *token_ids(nllb, "das Buch"), ids[2]]
    assert features.decoder_labels is not None
    assert features.decoder_labels[0].tolist() == [ids[1], *token_ids(nllb, "the book"), ids[2]]
    back = Prompt("x", "das Buch", direction=Direction("the book", "en", "de"))
    both = text_features([prompt, back, prompt], nllb, "seq2seq", max_length=64, train=False)
    assert both.extra["begin"].tolist() == [ids[1], ids[0], ids[1]]
    assert (nllb.src_lang, nllb.tgt_lang) == default_languages
    german, english = mbart.convert_tokens_to_ids(["de_DE", "en_XX"])
    row = tokenize_one(prompt, mbart, "seq2seq").input_ids[0].tolist()
    assert row == [*token_ids(mbart, "das Buch"), mbart.eos_token_id, german]
    assert tokenize_one(prompt, mbart, "seq2seq", train=False).extra["begin"].tolist() == [english]
    plain = tokenize_one(prompt, mt5, "seq2seq", train=False)
    assert plain.input_ids[0].tolist() == mt5("translate: das Buch")["input_ids"]
    assert "begin" not in plain.extra
    with pytest.raises(UserError, match="no token for the language 'qks'"):
        tokenize_one(Prompt("x", "y", direction=Direction("x", "qks", "en")), nllb, "seq2seq")


def test_max_new_tokens_come_from_the_prompts():
    prompts = [Prompt("a", "b", max_new_tokens=7), Prompt("a", None)]
    features = text_features(prompts, DECODERS["bpe"], "decoder", max_length=16, train=False)
    assert features.extra["max_new_tokens"].tolist() == [7, 64]
    assert features.extra["candidates"] == [(), ()]


def test_special_tokens_are_not_decoded():
    for tokenizer in (*SEQ2SEQ.values(), *DECODERS.values()):
        ids = token_ids(tokenizer, "the book")
        row = np.array([*ids, tokenizer.eos_token_id])
        assert decode_answers(tokenizer, [row, row[:0]]) == [tokenizer.decode(ids), ""]
