"""Names for bodies that are not pictures imgrelay relays, for the detail of `unsupported_format`."""

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"%PDF-", "a PDF"),
    (b"%!PS", "PostScript"),
    (b"8BPS", "a Photoshop document"),
    (b"\x1aE\xdf\xa3", "a video (Matroska or WebM)"),
    (b"\x00\x00\x01\xba", "a video (MPEG)"),
    (b"\x00\x00\x01\xb3", "a video (MPEG)"),
    (b"FLV\x01", "a video (Flash)"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a video (Windows Media)"),
    (b"OggS", "a video or sound (Ogg)"),
    (b"ID3", "a sound (MP3)"),
    (b"\x00\x00\x02\x00\x00\x00", "a Targa picture (TGA)"),  # a mouse cursor states here how many pictures it holds
    (b"\x00\x00\x0a\x00\x00\x00", "a Targa picture (TGA)"),
    (b"\x00\x00\x02\x00", "a mouse cursor (CUR)"),
    (b"MM\0+", "a big-endian BigTIFF"),
    (b"P6\n", "a Netpbm picture (PPM)"),
    (b"P5\n", "a Netpbm picture (PGM)"),
    (b"DDS ", "a texture (DDS)"),
    (b"\x76\x2f\x31\x01", "an OpenEXR picture"),
    (b"#?RADIANCE", "a Radiance picture (HDR)"),
    (b"II\xbc", "a JPEG XR picture"),
    (b"qoif", "a QOI picture"),
    (b"BPG\xfb", "a BPG picture"),
    (b"gimp xcf", "a GIMP document"),
    (b"AT&TFORM", "a DjVu document"),
    (b"\xc5\xd0\xd3\xc6", "PostScript (EPS)"),
    (b"\xd7\xcd\xc6\x9a", "a Windows metafile (WMF)"),
    (b"FUJIFILMCCD-RAW", "a camera raw picture (RAF)"),
    (b"IIRO", "a camera raw picture (ORF)"),
    (b"IIRS", "a camera raw picture (ORF)"),
    (b"IIU\0", "a camera raw picture (RW2)"),
    (b"II\x1a\0\0\0HEAPCCDR", "a camera raw picture (CRW)"),
    (b"FOVb", "a camera raw picture (X3F)"),
    (b"\0MRM", "a camera raw picture (MRW)"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip file"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
)
_RIFF = {b"AVI ": "a video (AVI)", b"WAVE": "a sound (WAV)"}
_MARKUP = (b"<!doctype html", b"<html", b"<head", b"<body", b"<script", b"<!--")


def describe_body(data: bytes) -> str:
    """Return what a body looks like: a sentence that starts with `the body`."""
    start = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n")
    name = _markup(start.lower()) or _binary(data) or ("text" if _is_text(start) else None)
    return f"the body looks like {name}" if name else f"the body begins with bytes {data[:8].hex(' ')}"


def _markup(start: bytes) -> str | None:
    if b"<svg" in start and start.startswith((b"<svg", b"<?xml", b"<!doctype svg", b"<!--")):
        return "SVG"
    if start.startswith(_MARKUP):
        return "an HTML page"
    if start.startswith(b"<?xml"):
        return "an XML document"
    if start.startswith(b"{\\rtf"):
        return "an RTF document"
    return "JSON" if start.startswith((b"{", b"[")) else None


def _binary(data: bytes) -> str | None:
    if data.startswith(b"RIFF"):
        return _RIFF.get(data[8:12])
    if data[4:12] == b"ftypcrx ":
        return "a camera raw picture (CR3)"
    if data[4:8] in (b"ftyp", b"moov", b"mdat"):
        return "a video (MP4 or QuickTime)"
    return next((name for signature, name in _SIGNATURES if data.startswith(signature)), None)


def _is_text(start: bytes) -> bool:
    """Whether a body is text. None of it is quoted: the detail of a failure must not show what a host keeps private."""
    try:
        text = start.decode()
    except UnicodeDecodeError as error:
        if error.end < len(start):
            return False
        text = start[: error.start].decode()  # what is examined ends within a character
    return bool(text.strip()) and all(line.replace("\t", "").isprintable() for line in text.splitlines())
