#!/usr/bin/env python3
"""Writes the requests of tests/wire/*.md as seeds for the fuzzer, one file per transcript.

fuzz/corpus/connection: eight zero bytes (the default settings), then all request blocks.
fuzz/corpus/application: a zero byte (one byte at a time), then the same.
fuzz/corpus/form_data: five bytes (limits that hold, and sizes of pieces), then a form.
fuzz/corpus/path: the path of each request line.
`session` takes calls, not bytes: its corpus starts empty.

The format of the transcripts is described in tests/wire/README.md.
"""

import pathlib
import re

HOME = pathlib.Path(__file__).parent
CORPUS = HOME / "corpus"
ESCAPES = {"n": b"\n", "r": b"\r", "t": b"\t", "0": b"\0", "\\": b"\\"}
TOKEN = re.compile(r"\{repeat (\d+) ([^}]*)\}|\{[^}]*\}|\\x([0-9a-fA-F]{2})|\\(.)|([^\\{]+|[{\\])")


def text(source: str) -> bytes:
    out = b""
    for count, repeated, code, escape, plain in TOKEN.findall(source):
        if count:
            out += int(count) * text(repeated)
        elif code:
            out += bytes([int(code, 16)])
        elif escape:
            out += ESCAPES.get(escape, escape.encode())
        else:  # {eof} and similar marks are no bytes
            out += plain.encode()
    return out


def line(source: str) -> bytes:
    """A line and its line end; a single backslash at its end means no line end."""
    slashes = len(source) - len(source.rstrip("\\"))
    if slashes % 2:
        return text(source[:-1])
    return text(source) + (b"" if source == "{eof}" else b"\r\n")


def requests(transcript: str) -> bytes:
    blocks = re.findall(r"^```request\n(.*?)^```", transcript, re.M | re.S)
    return b"".join(line(source) for block in blocks for source in block.splitlines())


FORMS = [
    b'--b\r\nContent-Disposition: form-data; name="f"; filename="a.txt"\r\n\r\nhello\r\n--b--\r\n',
    b'--b\r\nContent-Disposition: form-data; name="note"\r\n\r\nx\r\n--b \r\n'
    b'Content-Disposition: form-data; name="f"; filename="C:\\\\d\\a%22.txt"\r\n'
    b'Content-Type: text/plain\r\n\r\n\r\n--\r\n--b--',
    b'preamble\r\n--b\r\nContent-Disposition: form-data; name=f; filename=""; filename*=x\r\n'
    b'Content-Transfer-Encoding: binary\r\n\r\n\r\n--b--\r\nepilogue',
]


def main() -> None:
    count = 0
    for target in ("application", "connection", "form_data", "path", "session"):
        (CORPUS / target).mkdir(parents=True, exist_ok=True)
    for number, form in enumerate(FORMS):
        (CORPUS / "form_data" / f"form-{number}").write_bytes(b"\xff\x09\x00\x05\x20" + form)
    for file in sorted((HOME / "../tests/wire").glob("*.md")):
        if file.name == "README.md":
            continue
        for number, transcript in enumerate(re.split(r"^## ", file.read_text(), flags=re.M)[1:]):
            sent = requests(transcript)
            (CORPUS / "connection" / f"wire-{file.stem}-{number}").write_bytes(bytes(8) + sent)
            (CORPUS / "application" / f"wire-{file.stem}-{number}").write_bytes(bytes(1) + sent)
            for path in re.findall(rb"^[A-Z]+ (/[^ ?#\r\n]*)", sent, re.M)[:1]:
                (CORPUS / "path" / f"wire-{file.stem}-{number}").write_bytes(path[:8192])
            count += 1
    print(f"{count} transcripts in {CORPUS.name}/")


main()
