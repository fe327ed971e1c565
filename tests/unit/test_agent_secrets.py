"""Secret references are replaced by values, wherever they stand."""

from __future__ import annotations

from typing import Any

import pytest

from outrider.agent.errors import SecretsUnavailable
from outrider.agent.secrets import fill_in


def test_markers_are_replaced_at_any_depth() -> None:
    value = {"a": [{"$secret": "s"}, 1], "b": {"c": {"$secret": "t", "path": ["k", 1]}}, "d": "$secret"}
    found = fill_in(value, {"s": "one", "t": {"k": [0, "two"]}})
    assert found == {"a": ["one", 1], "b": {"c": "two"}, "d": "$secret"}


SECRETS = {"s": "Word", "t": '{"k": [0, "two"]}', "map": {"a": 1}}


@pytest.mark.parametrize(
    "value",
    [
        {"$call": "string_upper", "args": [{"$secret": "map"}]},
        {"$call": "string_split", "args": [{"$secret": "s"}, "o", 7]},
        {"$call": "unheard_of", "args": [{"$secret": "s"}]},
    ],
)
def test_a_recipe_that_cannot_be_followed_is_named_without_the_secret(value: Any) -> None:
    with pytest.raises(SecretsUnavailable, match=value["$call"]) as caught:
        fill_in(value, SECRETS)
    assert "Word" not in str(caught.value)


def test_a_secret_that_was_not_handed_out_is_named() -> None:
    with pytest.raises(SecretsUnavailable, match="'missing'"):
        fill_in({"$secret": "missing"}, {})


def test_a_missing_part_is_named_without_the_value() -> None:
    with pytest.raises(SecretsUnavailable) as caught:
        fill_in({"$secret": "s", "path": ["nope"]}, {"s": {"key": "hidden"}})
    assert "nope" in str(caught.value)
    assert "hidden" not in str(caught.value)
