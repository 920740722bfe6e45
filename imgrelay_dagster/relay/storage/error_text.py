"""A store's errors in plain words: who answered what, or why nobody did.

obstore's own text names the request, its duration and the retries, quotes the answer's XML, and keeps the cause of a
failed connection in a debug dump. A person wants the answer and the cause.
"""

import re
from urllib.parse import urlsplit

_DUMP = "\n\nDebug source"
_REQUEST = re.compile(r"Error performing \w+ (\S+) in ")
_ANSWER = re.compile(r"status code: (\d{3})[ \w-]*")
_CODE = re.compile(r"<Code>([^<]+)</Code>")
_MESSAGE = re.compile(r"<Message>([^<]+)</Message>")
_PREFIX = re.compile(r"Generic \w+ error: ")

_CAUSES = (
    (re.compile(r'message: "([^"]+)"'), None),  # the system's word: Connection refused
    (re.compile(r"failed to lookup address information: ([^\"]+)"), None),
    (re.compile(r"invalid peer certificate: ([^\"]+)|InvalidCertificate\("), "its certificate is not valid"),
    (re.compile(r"InvalidMessage\("), "it does not speak TLS; write http in place of https"),
    (re.compile(r"kind: Timeout|TimedOut"), "no answer in time"),
)
"""What a debug dump says of a connection that failed, the surest first."""


def error_text(text: str) -> str:
    """An error's text for people, as one line. What it does not know comes back without the debug dump."""
    message, _, dump = text.partition(_DUMP)
    request = _REQUEST.search(message)
    if request is None:
        return " ".join(_PREFIX.sub("", message, count=1).split())
    parts = urlsplit(request[1])
    server = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    answer = _ANSWER.search(message)
    if answer is None:
        return f"{server} cannot be reached: {_cause(dump) or 'the connection broke off'}"
    said = ": ".join(found[1].strip() for tag in (_CODE, _MESSAGE) if (found := tag.search(message)))
    return f"{server} answers {' '.join(answer[0].split()[2:])}" + (f" ({' '.join(said.split())})" if said else "")


def _cause(dump: str) -> str | None:
    for pattern, words in _CAUSES:
        found = pattern.search(dump)
        if found:
            return words or found[1]
    return None
