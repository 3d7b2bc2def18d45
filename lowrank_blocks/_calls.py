"""Classes whose wrong calls are answered with the right one."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import Signature, signature
from typing import Any, TypeVar

Class = TypeVar("Class", bound=type)


def shows_call(call: str) -> Callable[[Class], Class]:
    """Decorate a class so that arguments which it does not take raise a TypeError that names `call`."""

    def decorate(cls: Class) -> Class:
        made: Callable[..., None] = cls.__init__  # type: ignore[misc]
        expected = signature(made)

        @wraps(made)
        def init(self: object, *args: Any, **kwargs: Any) -> None:
            try:
                made(self, *args, **kwargs)
            except TypeError:
                refused = _refusal(expected, self, *args, **kwargs)
                if refused is None:
                    raise
                raise TypeError(f"{cls.__name__}: {refused}; write {call}.") from None

        cls.__init__ = init  # type: ignore[misc]
        return cls

    return decorate


def _refusal(expected: Signature, *args: Any, **kwargs: Any) -> str | None:
    """Return why arguments do not fit a signature, or None if they do."""
    try:
        expected.bind(*args, **kwargs)
    except TypeError as error:
        unknown = [name for name in kwargs if name not in expected.parameters]
        return f"there is no argument {unknown[0]}" if unknown else str(error)
    return None
