"""Who may ask: the name the server was called by, the page the question comes from, and the token."""

import hmac
from collections.abc import Collection

from lowerbound.server.http import Refusal, Scope, values

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


class Guard:
    """Lets through what is asked under a known name, by no foreign page, with the token.

    A page of another site cannot ask through the reader's browser: under its own name, pointed at this address, it is
    refused by the Host header, else by Origin.

    Args:
        token: that must come as ``Authorization: Bearer``; None: none is asked for.
        names: hosts that the server may be called.

    >>> Guard(None, ["localhost"]).check({"headers": [(b"host", b"localhost:8000")]})
    """

    def __init__(self, token: str | None, names: Collection[str]) -> None:
        self.names = {name.lower() for name in names}
        self.expected = None if token is None else f"Bearer {token}".encode()

    def check(self, scope: Scope) -> None:
        """Refuse a request that is not to be answered.

        Raises:
            Refusal: saying why.
        """
        self.check_page(scope)
        tokens = [token.encode("latin-1") for token in values(scope, "authorization")]
        if self.expected is not None and not (len(tokens) == 1 and hmac.compare_digest(tokens[0], self.expected)):
            what = "no token, or a wrong one; it goes into the header Authorization: Bearer TOKEN"
            raise Refusal(401, what, headers={"www-authenticate": "Bearer"})

    def check_page(self, scope: Scope) -> None:
        """The same whatever the token, for what holds nothing of a run.

        Raises:
            Refusal: saying why.
        """
        hosts = [host.lower() for host in values(scope, "host")]
        if len(hosts) != 1 or _name(hosts[0]) not in self.names:
            raise Refusal(403, "called by a name that is not this server's")
        ours = (f"http://{hosts[0]}", f"https://{hosts[0]}")
        if any(origin.lower() not in ours for origin in values(scope, "origin")):
            raise Refusal(403, "asked by a page of another site")


def _name(host: str) -> str:
    """A Host header without its port."""
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() else host
