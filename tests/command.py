"""The command, run in this process."""

from lowrank_blocks.cli import main


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
