"""File sources: subsets, fingerprints, and the rows and files of a language, on small files written here."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.small_files import NLI, read, refuses, task, write

from xlift.errors import UserError
from xlift.tasks.sources.base import draw_subset

# --- the source -----------------------------------------------------------------------------------------------------

ROWS = "premise\tlabel\n" + "".join(f"t{i}\tneutral\n" for i in range(20))


def test_missing_file_error_names_the_file_and_the_option(tmp_path):
    message = refuses("x.en: no such file, needed for toy en test", task("tsv"), tmp_path)
    assert "--data DIR" in message
    toy = task("tsv")
    assert not toy.source.is_present("en", "test", tmp_path)
    assert toy.source.is_present("en", "test", write(tmp_path, ROWS))


def test_no_data_folder():
    message = refuses("no data folder given", task("tsv", "xnli/x.{lang}"), None)
    assert "xnli/x.en" in message
    assert "--data DIR" in message


def test_missing_file_is_reported_before_the_first_example(tmp_path):
    toy = task("tsv")
    with pytest.raises(UserError):
        toy.source.read(toy, "en", "test", tmp_path)


def test_undeclared_language_lists_the_declared(tmp_path):
    refuses("no test examples in 'sw'", task("tsv"), tmp_path, language="sw")


def test_size_larger_than_the_data_names_both_numbers(tmp_path):
    refuses("has 20 examples, fewer than the 21 requested", task("tsv"), write(tmp_path, ROWS), size=21)


def test_examples_and_subsets_keep_file_order(tmp_path):
    write(tmp_path, ROWS)
    everything = read(task("tsv"), tmp_path)
    some = read(task("tsv"), tmp_path, size=7, seed=3)
    assert [e.id for e in everything] == [str(i) for i in range(20)]
    assert len(some) == 7
    assert some == [e for e in everything if e in some]
    assert some != read(task("tsv"), tmp_path, size=7, seed=4)


@given(n=st.integers(1, 200), sizes=st.tuples(st.integers(0, 200), st.integers(0, 200)), seed=st.integers(0, 5))
def test_subsets_are_nested_and_have_their_size(n, sizes, seed):
    small, large = sorted(min(size, n) for size in sizes)
    inner, outer = draw_subset(n, small, seed, "toy", "en"), draw_subset(n, large, seed, "toy", "en")
    assert inner <= outer <= set(range(n))
    assert (len(inner), len(outer)) == (small, large)


def test_subset_is_pinned():
    # Stored results identify examples by (seed, task, language, split), so the subset must never change.
    assert sorted(draw_subset(10, 4, 0, "toy", "en", "train")) == [2, 3, 6, 8]


def test_fingerprint_depends_on_bytes_and_options_but_not_on_the_path(tmp_path):
    def mark(toy, folder):
        return toy.source.fingerprint(toy, "en", "test", folder)

    here, there = tmp_path / "a", tmp_path / "b"
    for folder in (here, there):
        folder.mkdir()
        write(folder, ROWS)
    base = mark(task("tsv"), here)
    assert mark(task("tsv"), there) == base
    assert mark(task("tsv", labels=NLI[::-1]), here) != base  # class indices mean different labels
    assert mark(task("tsv", drop=("-",)), here) != base
    write(there, ROWS.replace("t7", "T7"))  # same size, different bytes
    assert mark(task("tsv"), there) != base


def test_size_follows_a_changed_file(tmp_path):
    toy = task("tsv")
    assert toy.source.size(toy, "en", "test", write(tmp_path, ROWS)) == 20
    assert toy.source.size(toy, "en", "test", write(tmp_path, ROWS + "more\tneutral\n")) == 21


# --- one file of many languages, many files of one, tables without a header ------------------------------------------

MIXED = "language\tgold_label\tsentence1\tsentence2\nar\tneutral\ta\tb\nde\tentailment\tc\td\nar\tentailment\te\tf\n"


def test_rows_of_a_language_are_selected_by_a_column(tmp_path):
    # XNLI's xnli.test.tsv. Ids count the rows of each language, so languages share them.
    write(tmp_path, MIXED, "x.tsv")
    toy = task("tsv", "x.tsv", languages=("ar", "de", "fr"), where={"language": "{lang}"})
    assert [(e.id, e.text_a, e.label) for e in read(toy, tmp_path, "ar")] == [
        ("0", "a", "neutral"),
        ("1", "e", "entailment"),
    ]
    assert [(e.id, e.text_a) for e in read(toy, tmp_path, "de")] == [("0", "c")]
    message = refuses("x.tsv: no row has language: fr", toy, tmp_path, language="fr")
    assert "Values in the file: language: 'ar', 'de'" in message


def test_rows_are_selected_by_the_code_of_the_file(tmp_path):
    write(tmp_path, MIXED.replace("ar\t", "ara\t"), "x.tsv")
    toy = task("tsv", "x.tsv", languages=("ar",), codes={"ar": "ara"}, where={"language": "{lang}"})
    assert len(read(toy, tmp_path, "ar")) == 2


def test_a_where_column_must_exist(tmp_path):
    write(tmp_path, MIXED, "x.tsv")
    refuses("no column 'langauge'", task("tsv", "x.tsv", where={"langauge": "{lang}"}), tmp_path)


def test_where_is_in_the_fingerprint(tmp_path):
    write(tmp_path, MIXED, "x.tsv")
    marks = set()
    for where in ({}, {"language": "ar"}, {"language": "de"}):
        toy = task("tsv", "x.tsv", where=where)
        marks.add(toy.source.fingerprint(toy, "en", "test", tmp_path))
    assert len(marks) == 3


def test_fingerprints_are_stable(tmp_path):
    # Keys of stored results depend on fingerprints: options added later change nothing at their default.
    toy = task("tsv")
    mark = toy.source.fingerprint(toy, "en", "test", write(tmp_path, ROWS))
    assert mark == "574009520da9932d3b06c3f03cdfc3c60f2feaef93a7b4cba772083e2705b565"


def test_paths_with_a_star_match_files_in_sorted_order(tmp_path):
    for name in ("de_b.tsv", "de_a.tsv", "fr_a.tsv"):
        write(tmp_path, f"premise\tlabel\n{name}\tneutral\n", name)
    toy = task("tsv", "{lang}_*.tsv", languages=("de", "it"))
    assert [e.text_a for e in read(toy, tmp_path, "de")] == ["de_a.tsv", "de_b.tsv"]
    assert not toy.source.is_present("it", "test", tmp_path)
    refuses("it_*.tsv: no such file, needed for toy it test", toy, tmp_path, language="it")


def test_tables_without_a_header(tmp_path):
    write(tmp_path, "a\tb\tneutral\n")
    (example,) = read(task("tsv", header=("text_a", "text_b", "label")), tmp_path)
    assert (example.text_a, example.text_b, example.label) == ("a", "b", "neutral")


def test_rows_of_another_width_are_skipped_if_ragged(tmp_path):
    # GLUE's QQP has some lines that are broken by a line end inside a question.
    write(tmp_path, "premise\tlabel\na\tneutral\ntorn\nb\tneutral\n")
    assert [e.id for e in read(task("tsv", ragged=True), tmp_path)] == ["0", "1"]
    refuses("x.en:3: 1 fields, the header has 2", task("tsv"), tmp_path)


def test_numbered_replaces_duplicate_ids(tmp_path):
    write(tmp_path, "id\tpremise\tlabel\n0\ta\tneutral\n0\tb\tneutral\n")
    assert [e.id for e in read(task("tsv", numbered=True), tmp_path)] == ["0", "1"]
    refuses("x.en:3: duplicate id '0'", task("tsv"), tmp_path)


def test_a_duplicate_id_is_found_anywhere(tmp_path):
    # Only hashes of ids are kept in memory; the row is found by reading the file again.
    rows = [f"i{n}\tt\tneutral\n" for n in range(500)]
    rows[321] = rows[7]
    write(tmp_path, "id\tpremise\tlabel\n" + "".join(rows))
    refuses("x.en:323: duplicate id 'i7'", task("tsv"), tmp_path)


def test_a_subset_checks_the_whole_file(tmp_path):
    toy = task("tsv")
    write(tmp_path, ROWS + "last\tnuetral\n")
    refuses("unknown label 'nuetral'", toy, tmp_path, size=1)
