"""Secret references are replaced by values, wherever they stand."""

from __future__ import annotations

import pytest

from outrider.agent.errors import SecretsUnavailable
from outrider.agent.secrets import fill_in


def test_markers_are_replaced_at_any_depth() -> None:
    value = {"a": [{"$secret": "s"}, 1], "b": {"c": {"$secret": "t", "path": ["k", 1]}}, "d": "$secret"}
    found = fill_in(value, {"s": "one", "t": {"k": [0, "two"]}})
    assert found == {"a": ["one", 1], "b": {"c": "two"}, "d": "$secret"}


def test_a_mapping_that_only_looks_like_a_marker_stays() -> None:
    assert fill_in({"$secret": "s", "more": 1}, {"s": "x"}) == {"$secret": "s", "more": 1}


def test_a_secret_that_was_not_handed_out_is_named() -> None:
    with pytest.raises(SecretsUnavailable, match="'missing'"):
        fill_in({"$secret": "missing"}, {})


def test_a_missing_part_is_named_without_the_value() -> None:
    with pytest.raises(SecretsUnavailable) as caught:
        fill_in({"$secret": "s", "path": ["nope"]}, {"s": {"key": "hidden"}})
    assert "nope" in str(caught.value)
    assert "hidden" not in str(caught.value)
