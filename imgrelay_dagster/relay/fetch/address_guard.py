"""The address guard: which addresses a download may connect to.

Whoever writes a manifest chooses what this host connects to. The guard keeps such requests to the public
internet: it is asked about the very address that is then connected to (see `dial.py`), so neither a
redirect, nor an odd spelling of an address, nor a name that answers differently each time gets around it.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from imgrelay_dagster.relay.errors import EntryFailure, RelayError
from imgrelay_dagster.relay.outcomes import Reason

Address = IPv4Address | IPv6Address

# `ipaddress` alone does not do. `is_global` is true for multicast (224.0.0.0/4, ff00::/8), for 6to4
# (2002::/16), for 192.88.99.0/24 and for 168.63.129.16 in every version; for 64:ff9b:1::/48 before 3.11.10
# and 3.12.4; for 3fff::/20 and 5f00::/16 wherever the registry is older than they are. `is_loopback` and
# others look into IPv4-mapped addresses only since 3.13. So the ranges stand here, from the IANA
# special-purpose registries, and `is_global` is asked last as a second opinion.
_REFUSED_V4: tuple[tuple[IPv4Network, str], ...] = tuple(
    (IPv4Network(network), what)
    for network, what in (
        ("0.0.0.0/8", "unspecified"),  # RFC 1122 3.2.1.3
        ("10.0.0.0/8", "private"),  # RFC 1918
        ("100.64.0.0/10", "carrier-grade NAT"),  # RFC 6598; also Alibaba Cloud's metadata
        ("127.0.0.0/8", "loopback"),  # RFC 1122 3.2.1.3
        ("168.63.129.16/32", "Azure host service"),  # a public address that only a guest reaches
        ("169.254.0.0/16", "link-local"),  # RFC 3927; cloud metadata at 169.254.169.254
        ("172.16.0.0/12", "private"),  # RFC 1918
        ("192.0.0.0/24", "protocol assignments"),  # RFC 6890; also Oracle Cloud's metadata
        ("192.0.2.0/24", "documentation"),  # RFC 5737
        ("192.88.99.0/24", "6to4 relay"),  # RFC 7526
        ("192.168.0.0/16", "private"),  # RFC 1918
        ("198.18.0.0/15", "benchmarking"),  # RFC 2544
        ("198.51.100.0/24", "documentation"),  # RFC 5737
        ("203.0.113.0/24", "documentation"),  # RFC 5737
        ("224.0.0.0/4", "multicast"),  # RFC 5771
        ("255.255.255.255/32", "broadcast"),  # RFC 8190
        ("240.0.0.0/4", "reserved"),  # RFC 1112 4
    )
)
_REFUSED_V6: tuple[tuple[IPv6Network, str], ...] = tuple(
    (IPv6Network(network), what)
    for network, what in (
        ("::/128", "unspecified"),  # RFC 4291 2.5.2
        ("::1/128", "loopback"),  # RFC 4291 2.5.3
        ("::/96", "IPv4-compatible"),  # RFC 4291 2.5.5.1
        ("64:ff9b:1::/48", "local-use NAT64"),  # RFC 8215
        ("2001::/32", "Teredo"),  # RFC 4380; carries an IPv4 address
        ("2001:2::/48", "benchmarking"),  # RFC 5180
        ("2001::/23", "protocol assignments"),  # RFC 2928
        ("2001:db8::/32", "documentation"),  # RFC 3849
        ("2002::/16", "6to4"),  # RFC 3056; carries an IPv4 address
        ("3fff::/20", "documentation"),  # RFC 9637
        ("fc00::/7", "unique local"),  # RFC 4193; AWS metadata at fd00:ec2::254
        ("fe80::/10", "link-local"),  # RFC 4291 2.5.6
        ("fec0::/10", "site-local"),  # RFC 3879
        ("ff00::/8", "multicast"),  # RFC 4291 2.7
    )
)
_GLOBAL_UNICAST_V6 = IPv6Network("2000::/3")  # all that IANA has given out (RFC 4291 2.4)
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052 2.1


def refusal(address: Address) -> str | None:
    """Say why this address is not one of the public internet; None when it is.

    IPv4-mapped and NAT64 addresses reach the IPv4 host they carry, so that is judged. 6to4, Teredo and
    IPv4-compatible addresses are refused whatever they carry: no host is reached by them any more.
    """
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return "scoped"  # RFC 4007: an interface of this host is named
        if address.ipv4_mapped is not None:
            return refusal(address.ipv4_mapped)
        if address in _NAT64:
            return refusal(IPv4Address(int(address) & 0xFFFFFFFF))
        named = next((what for network, what in _REFUSED_V6 if address in network), None)
        if named is None and address not in _GLOBAL_UNICAST_V6:
            named = "reserved"
    else:
        named = next((what for network, what in _REFUSED_V4 if address in network), None)
    if named is None and not address.is_global:
        named = "not global"
    return named


class AddressGuard:
    """Decides which of the addresses of a host may be connected to.

    Args:
        allowed: what is exempt, for tests and intranets: host names (with every address they have), IP
            addresses, or networks such as `10.1.0.0/16`.

    Raises:
        RelayError: one of them is none of these.
    """

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._hosts: set[str] = set()
        self._networks: list[IPv4Network | IPv6Network] = []
        for entry in allowed:
            try:
                self._networks.append(ipaddress.ip_network(entry.strip("[] "), strict=False))
            except ValueError:
                self._hosts.add(_host_name(entry))

    def permitted(self, host: str, addresses: Sequence[str]) -> list[str]:
        """Keep, in their order, the addresses of `host` that may be connected to.

        A name with both public and internal addresses is used by its public ones: since only checked
        addresses are connected to, refusing the whole name would protect nothing more.

        Raises:
            EntryFailure: `blocked_address`, when none is left.
        """
        if _canonical(host) in self._hosts:
            return list(addresses)
        kept: list[str] = []
        refused: list[str] = []
        for text in addresses:
            address = ipaddress.ip_address(text)
            why = refusal(address)
            if why is None or self._exempt(address):
                kept.append(text)
            else:
                refused.append(f"{text} ({why})")
        if not kept:
            raise EntryFailure(
                Reason.BLOCKED_ADDRESS,
                f"{host} is at {', '.join(refused[:3])}; only public addresses are fetched from, "
                "unless the host is listed in IMGRELAY_ALLOWED_HOSTS",
            )
        return kept

    def _exempt(self, address: Address) -> bool:
        if isinstance(address, IPv6Address):
            address = address.ipv4_mapped or IPv6Address(int(address))  # without its scope
        return any(address in network for network in self._networks)


def _canonical(host: str) -> str:
    return host.strip("[]").rstrip(".").lower()


def _host_name(entry: str) -> str:
    host = _canonical(entry.strip())
    try:
        host = host.encode("idna").decode("ascii")
    except UnicodeError:
        host = ""
    if not host or any(char in host for char in "/:*@ ?#"):
        raise RelayError(
            f"allowed host {entry!r} is neither a host name nor an address nor a network; "
            "write it like images.example, 192.0.2.7 or 10.0.0.0/8"
        )
    return host
