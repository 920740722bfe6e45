"""Which addresses the address guard permits and refuses."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgrelay_dagster.relay.errors import EntryFailure, RelayError
from imgrelay_dagster.relay.fetch.address_guard import AddressGuard, refusal_reason
from imgrelay_dagster.relay.outcomes import Reason

REFUSED = {
    "0.0.0.0": "unspecified",
    "0.1.2.3": "unspecified",
    "10.0.0.0": "private",
    "10.255.255.255": "private",
    "100.64.0.0": "carrier-grade NAT",
    "100.100.100.200": "carrier-grade NAT",
    "100.127.255.255": "carrier-grade NAT",
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "168.63.129.16": "Azure host service",
    "169.254.169.254": "link-local",
    "172.16.0.0": "private",
    "172.31.255.255": "private",
    "192.0.0.192": "protocol assignments",
    "192.0.2.1": "documentation",
    "192.88.99.1": "6to4 relay",
    "192.168.255.255": "private",
    "198.18.0.1": "benchmarking",
    "198.19.255.255": "benchmarking",
    "198.51.100.1": "documentation",
    "203.0.113.1": "documentation",
    "224.0.0.1": "multicast",
    "239.255.255.255": "multicast",
    "240.0.0.1": "reserved",
    "255.255.255.255": "broadcast",
    "::": "unspecified",
    "::1": "loopback",
    "::127.0.0.1": "IPv4-compatible",
    "::8.8.8.8": "IPv4-compatible",
    "::ffff:127.0.0.1": "loopback",
    "::ffff:169.254.169.254": "link-local",
    "::ffff:10.1.2.3": "private",
    "64:ff9b::7f00:1": "loopback",
    "64:ff9b::a9fe:a9fe": "link-local",
    "64:ff9b:1::808:808": "local-use NAT64",
    "100::1": "reserved",
    "2001:0:808:808::1": "Teredo",
    "2001:2::1": "benchmarking",
    "2001:20::1": "protocol assignments",
    "2001:db8::1": "documentation",
    "2002:7f00:1::": "6to4",
    "2002:808:808::": "6to4",
    "3fff::1": "documentation",
    "4000::1": "reserved",
    "5f00::1": "reserved",
    "fc00::1": "unique local",
    "fd00:ec2::254": "unique local",
    "fe80::1": "link-local",
    "fe80::1%eth0": "scoped",
    "2606:4700::1%eth0": "scoped",
    "fec0::1": "site-local",
    "ff02::1": "multicast",
    "ff0e::1": "multicast",
}
PUBLIC = [
    *("1.0.0.0", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255"),
    *("128.0.0.0", "169.253.255.255", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.167.255.255"),
    *("198.17.255.255", "198.20.0.0", "223.255.255.255"),
    *("2001:200::1", "2003::1", "2606:4700:4700::1111", "2a00:1450::1"),
    *("::ffff:8.8.8.8", "64:ff9b::808:808"),
]


@pytest.mark.parametrize(("address", "reason"), REFUSED.items())
def test_internal_and_special_addresses_are_refused(address: str, reason: str) -> None:
    assert refusal_reason(ipaddress.ip_address(address)) == reason


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_permitted(address: str) -> None:
    assert refusal_reason(ipaddress.ip_address(address)) is None


def test_an_address_that_only_the_interpreter_lists_as_special_is_refused() -> None:
    class NewlyReserved(ipaddress.IPv4Address):
        is_global = False

    assert refusal_reason(NewlyReserved("8.8.8.8")) == "not global"


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_embedded_in_ipv6_gets_the_same_result(address: ipaddress.IPv4Address) -> None:
    reason = refusal_reason(address)
    assert refusal_reason(ipaddress.IPv6Address(f"::ffff:{address}")) == reason
    assert refusal_reason(ipaddress.IPv6Address(int(ipaddress.IPv6Address("64:ff9b::")) + int(address))) == reason
    if reason is None:
        assert address.is_global
        assert not address.is_multicast
        assert not address.is_reserved


@given(st.ip_addresses(v=6))
def test_permitted_ipv6_addresses_are_global_unicast_or_embed_a_public_ipv4_address(
    address: ipaddress.IPv6Address,
) -> None:
    if refusal_reason(address) is None:
        embeds_ipv4 = address.ipv4_mapped is not None or address in ipaddress.ip_network("64:ff9b::/96")
        assert embeds_ipv4 or (address in ipaddress.ip_network("2000::/3") and address.is_global)


def test_only_the_public_addresses_of_a_name_are_used() -> None:
    permitted = AddressGuard().filter_permitted("mixed.example", ["10.0.0.1", "8.8.8.8", "::1", "2606:4700::1"])
    assert permitted == ["8.8.8.8", "2606:4700::1"]


def test_a_name_with_only_internal_addresses_is_blocked_with_the_reasons_in_the_detail() -> None:
    with pytest.raises(EntryFailure) as caught:
        AddressGuard().filter_permitted("inside.example", ["10.0.0.1", "::1"])
    assert caught.value.reason is Reason.BLOCKED_ADDRESS
    assert not caught.value.transient
    assert "inside.example resolves to 10.0.0.1 (private), ::1 (loopback)" in caught.value.detail
    assert "connected to, unless the host is listed in IMGRELAY_ALLOWED_HOSTS" in caught.value.detail


def test_the_detail_names_at_most_three_internal_addresses() -> None:
    with pytest.raises(EntryFailure) as caught:
        AddressGuard().filter_permitted("inside.example", [f"10.0.0.{last}" for last in range(9)])
    assert "10.0.0.2 (private); only" in caught.value.detail


@pytest.mark.parametrize(
    ("allowed", "host", "address"),
    [
        ("inside.example", "Inside.Example.", "10.0.0.1"),
        ("INSIDE.example.", "inside.example", "fe80::1%eth0"),
        ("bücher.example", "xn--bcher-kva.example", "10.0.0.1"),
        ("10.0.0.1", "any.example", "10.0.0.1"),
        ("10.0.0.0/8", "any.example", "10.20.30.40"),
        ("10.0.0.7/8", "any.example", "10.20.30.40"),
        ("10.0.0.0/8", "any.example", "::ffff:10.20.30.40"),
        ("fd00::/8", "any.example", "fd00::1"),
        ("[::1]", "::1", "::1"),
        ("fd00::7", "any.example", "fd00::7"),
        (" 10.0.0.1 ", "any.example", "10.0.0.1"),
        ("xxx.example", "xxx.example", "10.0.0.1"),
        ("x.inside.x", "x.inside.x", "10.0.0.1"),
    ],
)
def test_exempt_hosts_addresses_and_networks_are_permitted(allowed: str, host: str, address: str) -> None:
    assert AddressGuard([allowed]).filter_permitted(host, [address]) == [address]


@pytest.mark.parametrize(
    ("allowed", "host", "address"),
    [
        ("inside.example", "other.inside.example", "10.0.0.1"),
        ("10.0.0.0/16", "any.example", "10.1.0.0"),
        ("10.0.0.1", "any.example", "2002:a00:1::"),
        ("inside.example", "Xinside.example", "10.0.0.1"),
        ("inside.example", "inside.exampleX", "10.0.0.1"),
        ("X10.0.0.1", "any.example", "10.0.0.1"),
    ],
)
def test_an_exemption_does_not_cover_other_hosts_or_addresses(allowed: str, host: str, address: str) -> None:
    with pytest.raises(EntryFailure, match="blocked_address"):
        AddressGuard([allowed]).filter_permitted(host, [address])


@pytest.mark.parametrize("entry", ["", "http://inside", "inside:8080", "*.inside", "10.0.0.0/99", "a b", "a..b"])
def test_an_invalid_exemption_is_refused_with_its_text(entry: str) -> None:
    with pytest.raises(RelayError, match="is neither a host name, nor") as caught:
        AddressGuard([entry])
    assert repr(entry) in str(caught.value)
    assert "; write it like images.example, 192.0.2.7 or 10.0.0.0/8" in str(caught.value)
