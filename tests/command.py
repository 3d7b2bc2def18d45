"""The command, run in this process or in one of its own."""

import os
import subprocess
import sys

from lowrank_blocks.cli import main

_COMMAND = [sys.executable, "-m", "lowrank_blocks"]


def run(*args):
    """Run the command in this process; return its exit code."""
    try:
        return main([str(arg) for arg in args])
    except SystemExit as stop:
        return stop.code


def refused(capsys, *args):
    """Run the command, expect exit code 2 and one line on stderr; return that line."""
    assert run(*args) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith("\n")
    assert err.count("\n") == 1
    assert err.startswith("lowrank-blocks")
    return err


def process(*args, **options):
    """Run the command in a process of its own, which is ended if it hangs."""
    return _ended([*_COMMAND, *map(str, args)], **options)


def in_shell(redirections, *args):
    """Run the command as a process under redirections of a POSIX shell; its streams are kept as bytes."""
    command = ["sh", "-c", f'exec "$@" {redirections}', "sh", *_COMMAND, *map(str, args)]
    return _ended(command, capture_output=True)


def _ended(command, env=os.environ, **options):
    """Run a process whose streams are buffered, as they are for people, whatever is set around the tests."""
    env = {name: value for name, value in env.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(command, check=False, timeout=300, env=env, **options)
