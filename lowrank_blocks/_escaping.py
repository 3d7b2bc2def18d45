"""Text from outside, such as names in files, made safe for a line, Markdown, HTML and names of files."""

from __future__ import annotations

import re
import unicodedata
from html import escape

_MARKDOWN = re.compile(
    r"(?P<inner>(?<=[^\W_])_+(?=[^\W_]))"  # inside a word, Markdown takes underscores as they are
    r"|[\\`*_\[\]<|~$#]"
    r"|&(?=[#\w])"  # an entity such as &lt;
)
_NOT_IN_NAMES = re.compile(r"[^\w.]+")


def printable(text: str) -> str:
    r"""Return text on one line: what is not printable is written as Python writes it in a literal.

    Line breaks, controls (ANSI), marks that turn the direction of text, and bytes of a path that are
    not UTF-8 cannot forge lines or reach the terminal.

    Examples
    --------
    >>> print(printable("layer 0\n\x1b[31m"))
    layer 0\n\x1b[31m
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in text)


def markdown(text: str) -> str:
    r"""Return text that Markdown shows as it is, on one line.

    Examples
    --------
    >>> print(markdown("layers.npz[*a_b*]"))
    layers.npz\[\*a_b\*\]
    """
    return _MARKDOWN.sub(lambda m: m[0] if m["inner"] else f"\\{m[0]}", printable(text))


def html(text: str) -> str:
    r"""Return text that HTML shows as it is, on one line; for contents and for attributes in quotes.

    Examples
    --------
    >>> print(html("<b>\n&'"))
    &lt;b&gt;\n&amp;&#x27;
    """
    return escape(printable(text), quote=True)


def file_stem(text: str, most: int = 50) -> str:
    """Return text as part of a file name: letters, digits, dots and dashes, without a dot in front.

    Examples
    --------
    >>> file_stem("layers/0 <query>")
    'layers-0-query'
    """
    name = _NOT_IN_NAMES.sub("-", unicodedata.normalize("NFC", text)).strip("-.")
    return name[:most].rstrip("-.")


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # how Python holds a byte of a path that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()
