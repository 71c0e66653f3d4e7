"""Topics: one plain level for the gateway's id, whatever it is called."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_adapters.contract.messages import ContractError
from device_adapters.contract.topics import READINGS_SHARED, Leaf, gateway_of, mounted, topic


def test_builds_the_topic_that_the_acl_grants() -> None:
    assert topic("gateway-1", Leaf.READINGS) == "hemvital/v1/gateway-1/readings"


def test_services_find_it_below_the_mount() -> None:
    assert mounted("gateway-1", Leaf.READINGS) == "homes/hemvital/v1/gateway-1/readings"
    assert READINGS_SHARED == "$share/ingest/homes/hemvital/v1/+/readings"


@pytest.mark.parametrize(
    "gateway_id", ["", "+", "#", "a/b", "a+", "$a", "a\n", "ä", "x" * 65, ".", "a:b"]
)
def test_refuses_an_id_that_is_more_than_one_plain_level(gateway_id: str) -> None:
    with pytest.raises(ContractError):
        topic(gateway_id, Leaf.READINGS)
    with pytest.raises(ContractError):
        mounted(gateway_id, Leaf.READINGS)


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True), st.sampled_from(Leaf))
def test_a_topic_tells_whose_it_is(gateway_id: str, leaf: Leaf) -> None:
    assert gateway_of(mounted(gateway_id, leaf)) == gateway_id


@pytest.mark.parametrize(
    "name",
    [
        "",
        "hemvital/v1/gw/readings",
        "homes/hemvital/v1/readings",
        "homes/hemvital/v2/gw/readings",
        "homes/hemvital/v1/+/readings",
        "homes/hemvital/v1/service:ingest/readings",
        "homes/homes/hemvital/v1/gw/readings",
    ],
)
def test_a_topic_of_another_shape_is_nobodys(name: str) -> None:
    with pytest.raises(ContractError):
        gateway_of(name)
