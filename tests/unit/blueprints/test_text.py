"""The same word again: readers remember words, and each must still be read as it is written where it stands."""

from __future__ import annotations

from typing import Any

from outrider.dispatcher.blueprint.located import Mark, Source, key_mark, value_mark
from outrider.dispatcher.blueprint.problems import Problems
from outrider.dispatcher.blueprint.text import read_tree


def read(text: str) -> tuple[Any, Problems]:
    problems = Problems()
    return read_tree(Source("b.yaml", text), problems), problems


def test_quotes_and_tags_tell_equal_words_apart() -> None:
    tree, _ = read("""[3, "3", ! 3, !!str 3, 3, ~, '~', yes, "yes", '', ]""")
    assert tree == [3, "3", "3", "3", 3, None, "~", True, "yes", ""]


def test_a_number_is_text_as_a_key_and_a_number_as_a_value() -> None:
    assert read("{1: 1, true: 1, a: 1}")[0] == {"1": 1, "true": 1, "a": 1}


def test_every_place_of_a_word_that_is_not_ascii_is_a_finding() -> None:
    _, problems = read("a: \u00e9\nb: \u00e9\nc: '\u00e9'\n")
    assert [(found.line, found.column) for found in problems.errors()] == [(1, 4), (2, 4), (3, 4)]


def test_equal_words_keep_their_own_places() -> None:
    tree, _ = read("one: {word: word}\ntwo:\n  word: word\nlist: [word, word]\n")
    source = tree.mark.source
    assert key_mark(tree["one"], "word") == Mark(source, 1, 7)
    assert value_mark(tree["one"], "word") == Mark(source, 1, 13)
    assert (key_mark(tree["two"], "word"), value_mark(tree["two"], "word")) == (Mark(source, 3, 3), Mark(source, 3, 9))
    assert [value_mark(tree["list"], place) for place in (0, 1, 2)] == [
        *(Mark(source, 4, 8), Mark(source, 4, 14)),
        tree["list"].mark,
    ]


def test_an_empty_text_and_one_of_nothing_have_no_tree() -> None:
    assert [read(text)[0] for text in ("", "# nothing\n", "~\n")] == [None, None, None]
