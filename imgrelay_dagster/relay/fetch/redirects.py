"""A chain of redirects: its length, its loops, and the cookies that are set inside it."""

from http.cookiejar import CookieJar

from requests.cookies import extract_cookies_to_jar, get_cookie_header
from requests.structures import CaseInsensitiveDict
from urllib3.response import HTTPResponse

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.fetch.connections import Request
from imgrelay_dagster.relay.fetch.request_target import Target, resolve_redirect
from imgrelay_dagster.relay.outcomes import Reason


class RedirectChain:
    """The redirects that one attempt to fetch a URL follows.

    Some servers set a cookie in a redirect and give the image only to a request that has it. Such cookies are sent
    back within the chain, by the rules of `http.cookiejar` on domains, paths and `Secure`, and then forgotten.

    Args:
        limit: redirects that may be followed.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._visited: set[tuple[str, str | None]] = set()
        self._jar: CookieJar | None = None

    @property
    def followed(self) -> bool:
        """Whether a redirect was followed, so that at least one request was made."""
        return bool(self._visited)

    def cookie_header(self, target: Target) -> str | None:
        """Return the Cookie header of a request in this chain; None without cookies."""
        if self._jar is None:
            return None
        header: str | None = get_cookie_header(self._jar, Request(target, CaseInsensitiveDict()))  # type: ignore[no-untyped-call]
        return header

    def follow(self, request: Request, response: HTTPResponse, location: str) -> Target:
        """Return the target of a redirect.

        Args:
            request: the request that was answered by the redirect.
            location: the response's Location header.

        Raises:
            EntryFailure: `too_many_redirects`, also for a loop; or `bad_url`.
        """
        self._visited.add((request.target.url, request.headers.get("Cookie")))
        if len(self._visited) > self._limit:
            raise EntryFailure(Reason.TOO_MANY_REDIRECTS, f"more than {self._limit} redirects{self._cookie_note()}")
        if "Set-Cookie" in response.headers:
            self._jar = CookieJar() if self._jar is None else self._jar
            extract_cookies_to_jar(self._jar, request, response)  # type: ignore[no-untyped-call]
        target = resolve_redirect(request.target, location)
        if (target.url, self.cookie_header(target)) in self._visited:  # the same request gets the same response
            raise EntryFailure(Reason.TOO_MANY_REDIRECTS, f"redirect loop{self._cookie_note()}")
        return target

    def _cookie_note(self) -> str:
        return "" if self._jar is None else "; the server asks for cookies, and sending them back did not help"
