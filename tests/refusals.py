"""Errors that name the argument, the rule and the value."""

import re

import pytest


def refuse(error, *fragments):
    """Expect an error whose message holds all fragments, in this order, on one line."""
    return pytest.raises(error, match=".*".join(map(re.escape, fragments)))
