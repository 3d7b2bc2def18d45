"""``python -m lowrank_blocks``."""

import sys

from lowrank_blocks.cli import main

if __name__ == "__main__":
    sys.exit(main())
