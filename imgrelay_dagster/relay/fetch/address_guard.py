"""The address guard: which addresses a download may connect to.

The author of a manifest chooses the hosts that this process connects to. The guard limits these connections to the
public internet. It checks the same address that is then connected to (see `dialer.py`), so a redirect, an unusual
spelling of an address or a name that resolves differently each time (DNS rebinding) cannot bypass it.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from imgrelay_dagster.relay.errors import EntryFailure, RelayError
from imgrelay_dagster.relay.outcomes import Reason

Address = IPv4Address | IPv6Address

# The module `ipaddress` alone is not enough. `is_global` is true for multicast (224.0.0.0/4, ff00::/8), for 6to4
# (2002::/16), for 192.88.99.0/24 and for 168.63.129.16 in every Python version; for 64:ff9b:1::/48 before 3.11.10
# and 3.12.4; and for 3fff::/20 and 5f00::/16 in Python versions older than these registrations. `is_loopback` and
# similar properties inspect IPv4-mapped addresses only since 3.13. So the ranges of the IANA special-purpose
# registries are listed here, and `is_global` is an additional check after them.
_REFUSED_V4: tuple[tuple[IPv4Network, str], ...] = tuple(
    (IPv4Network(network), label)
    for network, label in (
        ("0.0.0.0/8", "unspecified"),  # RFC 1122 3.2.1.3
        ("10.0.0.0/8", "private"),  # RFC 1918
        ("100.64.0.0/10", "carrier-grade NAT"),  # RFC 6598; also Alibaba Cloud's metadata
        ("127.0.0.0/8", "loopback"),  # RFC 1122 3.2.1.3
        ("168.63.129.16/32", "Azure host service"),  # a public address, reachable only from Azure virtual machines
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
    (IPv6Network(network), label)
    for network, label in (
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
_GLOBAL_UNICAST_V6 = IPv6Network("2000::/3")  # the range that IANA assigns from (RFC 4291 2.4)
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052 2.1


def refusal_reason(address: Address) -> str | None:
    """Return why an address is not a public internet address, such as `loopback`; None when it is public.

    IPv4-mapped and NAT64 addresses reach the embedded IPv4 address, so that one is checked. 6to4, Teredo and
    IPv4-compatible addresses are always refused: these transition mechanisms are obsolete.
    """
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return "scoped"  # RFC 4007: the address names an interface of this host
        if address.ipv4_mapped is not None:
            return refusal_reason(address.ipv4_mapped)
        if address in _NAT64:
            return refusal_reason(IPv4Address(int(address) & 0xFFFFFFFF))
        label = next((label for network, label in _REFUSED_V6 if address in network), None)
        if label is None and address not in _GLOBAL_UNICAST_V6:
            label = "reserved"
    else:
        label = next((label for network, label in _REFUSED_V4 if address in network), None)
    if label is None and not address.is_global:
        label = "not global"
    return label


class AddressGuard:
    """Decides which addresses of a host a download may connect to.

    Args:
        allowed: exemptions, for intranets and tests: host names (all their addresses are exempt), IP addresses, or
            networks such as `10.1.0.0/16`.

    Raises:
        RelayError: an item of `allowed` is neither a host name, nor an address, nor a network.
    """

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._hosts: set[str] = set()
        self._networks: list[IPv4Network | IPv6Network] = []
        for entry in allowed:
            try:
                self._networks.append(ipaddress.ip_network(entry.strip("[] "), strict=False))
            except ValueError:
                self._hosts.add(_parse_host_name(entry))

    def filter_permitted(self, host: str, addresses: Sequence[str]) -> list[str]:
        """Return the addresses of `host` that may be connected to, in the order given.

        Of a host with public and internal addresses, the public ones are returned. Refusing the whole host would
        not be safer, because only checked addresses are connected to.

        Raises:
            EntryFailure: `blocked_address`, when no address is permitted.
        """
        if _normalize_host(host) in self._hosts:
            return list(addresses)
        permitted: list[str] = []
        refused: list[str] = []
        for text in addresses:
            address = ipaddress.ip_address(text)
            reason = refusal_reason(address)
            if reason is None or self._is_exempt(address):
                permitted.append(text)
            else:
                refused.append(f"{text} ({reason})")
        if not permitted:
            raise EntryFailure(
                Reason.BLOCKED_ADDRESS,
                f"{host} resolves to {', '.join(refused[:3])}; only public addresses may be connected to, "
                "unless the host is listed in IMGRELAY_ALLOWED_HOSTS",
            )
        return permitted

    def _is_exempt(self, address: Address) -> bool:
        if isinstance(address, IPv6Address):
            address = address.ipv4_mapped or IPv6Address(int(address))  # without the scope
        return any(address in network for network in self._networks)


def _normalize_host(host: str) -> str:
    return host.strip("[]").rstrip(".").lower()


def _parse_host_name(entry: str) -> str:
    host = _normalize_host(entry.strip())
    try:
        host = host.encode("idna").decode("ascii")
    except UnicodeError:
        host = ""
    if not host or any(char in host for char in "/:*@ ?#"):
        raise RelayError(
            f"allowed host {entry!r} is neither a host name, nor an IP address, nor a network; "
            "write it like images.example, 192.0.2.7 or 10.0.0.0/8"
        )
    return host
