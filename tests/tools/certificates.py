"""Try what is certified on many random matrices of a hard family.

    python tests/tools/certificates.py clusters 100000 0
    python tests/tools/certificates.py equal_entries 10000 0

judges at least so many results from a seed on, and exits with status 1 if a certificate is exceeded or a
promise broken. Every second matrix of a side from 64 on goes to Lanczos.
"""

import sys
from collections import Counter
from importlib import import_module
from itertools import count
from pathlib import Path

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from certificates import verdicts


def main() -> int:
    draw, wanted, seed = import_module(sys.argv[1]).draw, int(sys.argv[2]), int(sys.argv[3])
    judged, broken, worst, claim = 0, Counter(), 0.0, 0.0
    with tqdm(total=wanted, mininterval=60) as shown:
        for number in count(seed):
            case = draw(number)
            found = verdicts(case, 64 if number % 2 else 512)
            for verdict in found:
                worst, claim = max(worst, verdict.excess), max(claim, verdict.bound)
                broken.update(verdict.broken)
                if verdict.broken:
                    tqdm.write(f"seed {number}: {case.name} {case.matrix.shape}, {case.structure}, {verdict}")
            judged += len(found)
            shown.update(len(found))
            if judged >= wanted:
                break
    print(f"{judged} results to seed {number}, broken: {dict(broken)}")
    print(f"at most {worst:.1e} above the optimum, {claim:.1e} certified")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
