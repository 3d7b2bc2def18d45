"""Reports read back from the forms they are written in."""

import json
from html.parser import HTMLParser

import pytest

import lowrank_blocks as lb


def from_csv(record):
    return lb.Row(
        **{name: record[name] for name in ("label", "allocation", "guarantee", "partition")},
        **{name: int(record[name]) for name in ("n_parameters", "slack")},
        **{name: float(record[name]) for name in ("error", "relative_error", "captured")},
        ranks=tuple(map(int, record["ranks"].split())),
        gap=float(record["gap"]) if record["gap"] else None,
    )


def strict(text):
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


class Cells(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found, self.open = {"th": [], "td": [], "caption": []}, None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.open = tag if tag in self.found else None

    def handle_data(self, data):
        if self.open:
            self.found[self.open].append(data)

    def handle_endtag(self, tag):
        self.open = None
