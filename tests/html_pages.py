"""HTML pages as lists of elements."""

from html.parser import HTMLParser

_VOID = {"meta", "input", "br", "wbr", "img", "link", "path", "circle"}


class Read(HTMLParser):
    """Elements in order as (tag, attributes, text), each text with that of all elements inside."""

    def __init__(self, page):
        super().__init__()
        self.found, self.stack = [], []
        self.feed(page)
        self.close()
        assert self.stack == [], "every element is closed"

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs), "no attribute twice"
        element = [tag, dict(attrs), "", [t for t, *_ in self.stack]]
        self.found.append(element)
        if tag not in _VOID or (tag in {"circle", "path"} and not self.get_starttag_text().endswith("/>")):
            self.stack.append(element)

    def handle_startendtag(self, tag, attrs):
        self.found.append([tag, dict(attrs), "", [t for t, *_ in self.stack]])

    def handle_endtag(self, tag):
        assert self.stack.pop()[0] == tag

    def handle_data(self, data):
        for element in self.stack:
            element[2] += data

    def of(self, tag, **attributes):
        wanted = {name.replace("_", "-"): value for name, value in attributes.items()}
        return [e for e in self.found if e[0] == tag and wanted.items() <= e[1].items()]


def rows_of(read, table):
    """Return the rows of the tbody of one table, as lists of (text, attributes)."""
    rows, inside = [], False
    for tag, attributes, text, above in read.found:
        if tag == "table":
            inside = attributes == table
        elif inside and tag == "tr" and "tbody" in above:
            rows.append([])
        elif inside and tag in {"td", "th"} and "tbody" in above:
            rows[-1].append((text, attributes))
    return rows
