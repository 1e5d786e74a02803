"""Files of words and tags as people write them, made at random beside the sentences that they hold: the reader gives these
sentences, or refuses the file. Ten thousand of each kind in `make fuzz`."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.support.random_files import FILES, PLAIN, encodings, read, write

from xlift.errors import UserError
from xlift.execution.file_prediction import InputRows
from xlift.tasks.sources.readers import conll
from xlift.tasks.sources.readers.base import Layout

pytestmark = pytest.mark.fuzz

TAGS: tuple[str, ...] = ("O", "B-PER", "I-PER", "SYM")
WORD = st.one_of(
    st.sampled_from(["#", "##", "#tag", "Rome", "\u00a0", "\u3000", "a\u2028b", "O", "-", '"', "B-PER", "10\u00a0000"]),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc"], exclude_characters=" \ufeff"), min_size=1, max_size=6),
)  # fmt: skip
COMMENT = st.sampled_from(
    [
        "# id a1\tdomain=train",
        "# text = a b c",
        "# sent_id = 3",
        "# newdoc",
        "#",
        "# comment",
        "# a b c d",
        "# one\ttwo",
    ]
)


@st.composite
def conll_files(draw: st.DrawFn) -> tuple[str, list[list[tuple[str, str]]]]:
    """The text of a file, and the words and tags of its sentences."""
    tabs, columns = draw(st.booleans()), draw(st.integers(0, 2))
    separator = draw(st.sampled_from(["\t", " \t", "\t "] if tabs else [" ", "  "]))
    words = st.lists(WORD, min_size=1, max_size=2).map(" ".join) if tabs else WORD
    sentences = draw(
        st.lists(st.lists(st.tuples(words, st.sampled_from(TAGS)), min_size=1, max_size=4), min_size=1, max_size=4)
    )
    lines: list[str] = []
    for sentence in sentences:
        lines += [""] * draw(st.integers(0, 2)) + draw(st.sampled_from([[], [], ["-DOCSTART- -X- O", ""]]))
        lines += draw(st.lists(COMMENT, max_size=2))
        for word, tag in sentence:
            lines.append(separator.join([word, *(["x"] * columns), tag]))
        lines.append(draw(st.sampled_from(["", " ", "\t"])))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    return end.join(lines) + draw(st.sampled_from(["", end])), sentences


@FILES
@given(file=conll_files(), encoding=encodings(), declared=st.booleans())
def test_words_and_tags(tmp_path, file, encoding, declared):
    text, expected = file
    # A word that begins with `#` above all others of a sentence needs a known tag, and no blank.
    starts = [sentence[0] for sentence in expected if sentence[0][0].startswith("#")]
    assume(not any(" " in word for word, _ in starts))
    known = {tag for sentence in expected for n, (word, tag) in enumerate(sentence) if not word.startswith("#")}
    assume(known)
    assume(declared or all(tag in known for _, tag in starts))
    assume(not any(sentence[0][0].startswith("-DOCSTART-") for sentence in expected))
    path = write(tmp_path / "x.conll", text, encoding)
    labels: dict[str, Any] = {"labels": list(TAGS)} if declared else {}
    examples = read("tagging", path, **labels)
    assert [list(zip(e.words, e.tags, strict=True)) for e in examples] == expected
    rows = InputRows(path, "tagging", labels=TAGS)
    assert [list(row.example.words) for row in rows] == [[word for word, _ in sentence] for sentence in expected]


@FILES
@given(file=conll_files(), seed=st.integers(0, 2**32))
def test_words_without_tags(tmp_path, file, seed):
    """`predict` reads the words of a file that has no tags."""
    _, sentences = file
    words = [[word for word, _ in sentence if " " not in word and not word.startswith("#")] for sentence in sentences]
    words = [sentence for sentence in words if sentence]
    assume(words)
    path = write(tmp_path / "x.conll", "\n\n".join("\n".join(sentence) for sentence in words), PLAIN)
    assert [list(row.example.words) for row in InputRows(path, "tagging", labels=TAGS)] == words


@FILES
@given(file=conll_files(), seed=st.integers(0, 2**32))
def test_a_line_with_other_columns_is_refused(tmp_path, file, seed):
    text, sentences = file
    assume("\t" in text.replace("# id a1\tdomain=train", "").replace("# one\ttwo", "").replace("\n\t", "\n"))
    lines = text.replace("\r\n", "\n").split("\n")
    tagged = [n for n, line in enumerate(lines) if "\t" in line.strip() and not line.startswith("#")]
    assume(len(tagged) > 1)
    at = random.Random(seed).choice(tagged[1:])
    lines[at] = lines[at].rstrip() + "\textra"
    path = write(tmp_path / "x.conll", "\n".join(lines), PLAIN)
    with pytest.raises(UserError, match="columns"):
        list(conll.sentences(path, Layout("tagging", "en", labels=TAGS)))
