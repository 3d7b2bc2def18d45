"""Run what a change must pass before it is proposed: one command for people and for CI."""

import subprocess
import sys

FAST = (("ruff", "format", "--check", "."), ("ruff", "check", "."), ("mypy",), ("lint-imports",))
TESTS = (("pytest", "-q", "-n", "auto"),)


def main() -> int:
    commands = FAST if "--fast" in sys.argv[1:] else FAST + TESTS
    failed = []
    for command in commands:
        print("$", *command, flush=True)
        if subprocess.run(command).returncode != 0:
            failed.append(" ".join(command))
    print("failed: " + ", ".join(failed) if failed else "all checks passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
