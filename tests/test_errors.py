"""Errors of users: several at once, and between processes."""

from __future__ import annotations

import pickle

from xlift.errors import ErrorCollector, UserError, UserErrors, combine_errors

FIRST = UserError("unknown metric 'bleu'", where="study.yaml:7", fix="Its metrics are accuracy.")
SECOND = UserError("the text is empty", where="train.csv:3")


def test_several_errors_are_printed_one_under_the_other():
    assert str(UserErrors([FIRST, SECOND])) == (
        "study.yaml:7: unknown metric 'bleu'\n  Its metrics are accuracy.\ntrain.csv:3: the text is empty"
    )


def test_several_errors_survive_pickling_with_their_warnings():
    error = pickle.loads(pickle.dumps(UserErrors([FIRST, SECOND], ["train.csv:9: a row occurs twice"])))
    assert [(each.what, each.where, each.fix) for each in error.errors] == [
        (each.what, each.where, each.fix) for each in (FIRST, SECOND)
    ]
    assert error.warnings == ("train.csv:9: a row occurs twice",)


def test_errors_of_errors_are_one_list():
    assert UserErrors([UserErrors([FIRST, SECOND]), SECOND]).errors == (FIRST, SECOND, SECOND)


def test_a_single_error_stays_as_it_is_unless_there_are_warnings():
    assert combine_errors([FIRST]) is FIRST
    assert combine_errors([FIRST], ["odd"]).warnings == ("odd",)


def test_a_collector_goes_on_after_each_error():
    collector = ErrorCollector()
    for error in (FIRST, UserErrors([SECOND, FIRST])):
        with collector.collect():
            raise error
    assert collector.errors == [FIRST, SECOND, FIRST]


def test_control_characters_of_messages_are_escaped():
    error = UserError("a\x1b[2J\x9b\x00\r\ud800", where="é\u0301:1", fix="one\n\ttwo")
    assert str(error) == "é\u0301:1: a\\x1b[2J\\x9b\\x00\\r\\ud800\n  one\n\ttwo"
