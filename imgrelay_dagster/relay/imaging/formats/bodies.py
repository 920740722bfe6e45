"""Names for bodies that are not pictures imgrelay relays, for the detail of `unsupported_format`."""

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"%PDF-", "a PDF"),
    (b"%!PS", "PostScript"),
    (b"8BPS", "a Photoshop document"),
    (b"\x1aE\xdf\xa3", "a video (Matroska or WebM)"),
    (b"\x00\x00\x01\xba", "a video (MPEG)"),
    (b"\x00\x00\x01\xb3", "a video (MPEG)"),
    (b"FLV\x01", "a video (Flash)"),
    (b"OggS", "a video or sound (Ogg)"),
    (b"ID3", "a sound (MP3)"),
    (b"\x00\x00\x02\x00", "a mouse cursor (CUR)"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip file"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
)
_RIFF = {b"AVI ": "a video (AVI)", b"WAVE": "a sound (WAV)"}
_MARKUP = (b"<!doctype html", b"<html", b"<head", b"<body", b"<script", b"<!--")


def describe_body(data: bytes) -> str:
    """Return what a body looks like: a sentence that starts with `the body`."""
    name = _markup(data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()) or _binary(data)
    return f"the body looks like {name}" if name else f"the body begins with bytes {data[:8].hex(' ')}"


def _markup(start: bytes) -> str | None:
    if b"<svg" in start and start.startswith((b"<svg", b"<?xml", b"<!doctype svg", b"<!--")):
        return "SVG"
    if start.startswith(_MARKUP):
        return "an HTML page"
    if start.startswith(b"<?xml"):
        return "an XML document"
    return "JSON" if start.startswith((b"{", b"[")) else None


def _binary(data: bytes) -> str | None:
    if data.startswith(b"RIFF"):
        return _RIFF.get(data[8:12])
    if data[4:8] == b"ftyp":
        return "a video (MP4 or QuickTime)"
    return next((name for signature, name in _SIGNATURES if data.startswith(signature)), None)
