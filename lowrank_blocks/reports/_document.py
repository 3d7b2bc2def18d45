"""One HTML page that needs nothing else: no network, no fonts, no files."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import cache

from lowrank_blocks._escaping import html

_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'unsafe-inline'"


def document(title: str, facts: Mapping[str, str], sections: Mapping[str, str]) -> str:
    """Return a page. Styles and script are inside, and a policy lets it load and run nothing else.

    Parameters
    ----------
    title : str
        Its heading.
    facts : dict of str to str
        What stands in its head.
    sections : dict of str to str
        Parts in HTML by their headings; empty ones are left out. One of them has a `sortable` table.
    """
    style, script = _package_text("page.css"), _package_text("page.js")
    policy = f"{_POLICY}; script-src '{_digest(script)}'"
    items = "".join(f"<dt>{html(name)}</dt><dd>{html(value)}</dd>\n" for name, value in facts.items())
    body = "".join(
        f"<section>\n<h2>{heading}</h2>\n{content}\n</section>\n"
        for heading, content in sections.items()
        if content
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{html(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f"<header>\n<h1>{html(title)}</h1>\n<dl>\n{items}</dl>\n</header>\n"
        f"<main>\n{body}</main>\n<script>{script}</script>\n</body>\n</html>\n"
    )


def require_words(title: object, details: object) -> None:
    """Refuse a heading that is no text, and facts that are no dict of texts."""
    if not isinstance(title, str):
        raise TypeError(f"title must be a str, got {title!r}.")
    if details is None:
        return
    pairs = list(details.items()) if isinstance(details, Mapping) else [(details, None)]
    if not all(isinstance(text, str) for pair in pairs for text in pair):
        raise TypeError(f"details must be a dict of str to str, got {details!r}.")


@cache
def _package_text(name: str) -> str:
    from importlib.resources import files  # costs more to import than the rest of this module

    return (files("lowrank_blocks.reports") / name).read_text(encoding="utf-8")


def _digest(script: str) -> str:
    """Return what a policy allows one script by."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
