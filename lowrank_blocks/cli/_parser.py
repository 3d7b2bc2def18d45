"""A parser whose errors take one line and guess what was meant."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import NoReturn, TypeAlias

from lowrank_blocks.cli._streams import say

EXAMPLES = """\
examples:
  lowrank-blocks compare                              the embedded genuine update, rank 8, 4 blocks an axis
  lowrank-blocks compare --rank 16 --blocks 8 dW.npy  a matrix of your own
  lowrank-blocks compare layers.npz --out report      all matrices of an archive, with report files
  lowrank-blocks compare dW.npy --budget 5000 --format csv
  lowrank-blocks atlas dW.npy --weight W.npy --rank 8 --out atlas   every family of PEFT
  lowrank-blocks reproduce --out formal               the formal comparison, with tables and pictures
"""
Commands: TypeAlias = "argparse._SubParsersAction[Parser]"
formatted = argparse.RawDescriptionHelpFormatter


class Parser(argparse.ArgumentParser):
    """A parser whose errors take one line."""

    def error(self, message: str) -> NoReturn:
        say(message, self.prog)
        self.exit(2)


def parsed(parser: Parser, commands: Commands, argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed arguments, or end with one line that says what is wrong."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments and not arguments[0].startswith("-") and arguments[0] not in commands.choices:
        parser.error(_unknown_command(arguments[0], commands.choices))
    args, unknown = parser.parse_known_args(arguments)
    if unknown:
        _refuse_unknown(parser if args.command is None else commands.choices[args.command], unknown)
    if args.command is None:
        parser.error(f"a COMMAND must be given, one of {', '.join(commands.choices)}, got none.")
    return args


def _unknown_command(word: str, names: Iterable[str]) -> str:
    names = list(names)
    message = f"COMMAND must be one of {', '.join(names)}, got {word!r}"
    if word.endswith((".npy", ".npz")):
        return f"{message}; did you mean 'lowrank-blocks compare {word}'?"
    return message + _did_you_mean([word], names)


def _refuse_unknown(parser: Parser, unknown: Sequence[str]) -> NoReturn:
    options = [*re.findall("--[a-z]+", parser.format_usage()), "--help"]
    words = [word.split("=", 1)[0] for word in unknown if word.startswith("-")]
    parser.error(f"unrecognized arguments: {' '.join(unknown)}{_did_you_mean(words, options)}")


def _did_you_mean(words: Iterable[str], names: Sequence[str]) -> str:
    guesses = [guess for word in words for guess in get_close_matches(word, names, n=1)]
    return f"; did you mean {', '.join(guesses)}?" if guesses else ""
