"""Requirements that no index can answer are asked for under their successor's name."""

from __future__ import annotations

import pytest

from outrider.plugins.wagons.successors import with_successors


@pytest.mark.parametrize(
    ("declared", "asked"),
    [
        (["fusion-common>=7.0.2"], ["cloudify-common"]),
        (["Fusion_Common (>=7.0.2)"], ["cloudify-common"]),
        (["cloudify-plugins-common<=4.2", "cloudify-rest-client==4.2"], ["cloudify-common"]),
        (["fusion-common ; python_version > '3.6'"], ['cloudify-common ; python_version > "3.6"']),
        (["cloudify-common==7.0.2", "boto3"], ["cloudify-common==7.0.2", "boto3"]),
        (["fusion-common-plugin", "not a requirement !"], ["fusion-common-plugin", "not a requirement !"]),
    ],
)
def test_only_what_cannot_be_had_is_replaced(declared: list[str], asked: list[str]) -> None:
    assert list(with_successors(declared)) == asked
