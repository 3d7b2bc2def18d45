"""Print the answers of all public calls on seeded matrices as JSON, to compare two versions of the package.

Run it with the other version on the path, then with this one, and compare::

    PYTHONPATH=../before python tests/tools/answers.py > before.json
    PYTHONPATH=. python tests/tools/answers.py > now.json
    python tests/tools/answers.py before.json now.json
"""

import json
import pathlib
import sys

import numpy as np

import lowrank_blocks as lb


def matrices():
    rng = np.random.default_rng(0)
    low = rng.standard_normal((96, 3)) @ rng.standard_normal((3, 64))
    yield "normal", rng.standard_normal((48, 40))
    yield "ragged", rng.standard_normal((37, 53))
    yield "low rank and noise", low + 0.1 * rng.standard_normal((96, 64))
    yield "blocks", lb.synthetic.block_diagonal((64, 64), parts=4, rank=2).matrix
    yield "large", rng.standard_normal((400, 300)) * np.geomspace(1, 1e-4, 300)
    yield "float32", rng.standard_normal((200, 160)).astype(np.float32)
    yield "huge", rng.standard_normal((20, 30)) * 1e250
    yield "tiny", rng.standard_normal((20, 30)) * 1e-250
    yield "zeros", np.zeros((8, 6))
    yield "ones", np.ones((30, 20))
    yield "genuine", lb.load_example()["query"]


STRUCTURES = [
    lb.Global(),
    lb.DiagonalLocal(4),
    lb.Localized(2),
    lb.Localized(4, 3),
    lb.Localized((0, 2, 5), (0, 4, 5, 6)),
]


def fitting(structure, shape):
    if structure == STRUCTURES[-1]:
        edges = tuple(np.unique([0, shape[0] // 3, shape[0] // 2, shape[0]]).tolist())
        return lb.Localized(edges, (0, shape[1] // 4, shape[1]))
    return structure


def answers():
    for name, W in matrices():
        budgets = [0, sum(W.shape), 2 * sum(W.shape) + 7, W.size // 3, W.size, 3 * W.size]
        for one in STRUCTURES:
            structure = fitting(one, W.shape)
            key = f"{name} {one}"
            for spent, allocate in {"adaptive": lb.adaptive, "uniform": lb.uniform}.items():
                curve = lb.error_curve(W, structure, allocate=allocate)
                yield (
                    f"{key} {spent} curve",
                    [curve.relative_error.tolist()[::7], curve.n_parameters.tolist()[::7]],
                )
                for budget in budgets:
                    best = lb.approximate(W, structure, budget, allocate=allocate)
                    parts = lb.decompose(W, structure)
                    bound = parts.lower_bound(parts.choose_ranks(budget, allocate=allocate))
                    made = parts.within(budget, allocate=allocate)
                    facts = [best.error / (parts.norm or 1), best.relative_error, best.ranks.tolist()]
                    facts += [str(best.guarantee), bound, made.relative_error, made.ranks.tolist()]
                    facts += [curve.at(budget), curve.at(curve.budget_for(curve.at(budget)))]
                    dense = best.to_dense().ravel()[:: max(1, W.size // 7)].astype(float)
                    yield f"{key} {spent} {budget}", [*facts, (dense / (parts.norm or 1)).tolist()]
        for budget in budgets[:4]:
            found = lb.best_partition(W, budget, max_depth=3)
            facts = [repr(found.structure), found.relative_error, found.lower_bound, found.ranks.tolist()]
            yield f"{name} best {budget}", [*facts, found.verdict, found.n_parameters]
            table = lb.compare(W, STRUCTURES[:3], budget, best=True)
            rows = [[r.label, r.allocation, list(r.ranks), r.relative_error, r.gap] for r in table.rows]
            yield f"{name} compare {budget}", rows
    updates = lb.load_example()
    for rank in (1, 8):
        layers = lb.allocate_ranks({k: v[:96, :64] for k, v in updates.items()}, rank=rank)
        yield (
            f"layers {rank}",
            [layers.ranks, layers.relative_error, layers.lower_bound, layers.relative_errors],
        )


def apart(a, b):
    """Return the largest difference of two numbers or nests of them; infinity if anything else differs."""
    if isinstance(a, bool) or not isinstance(a, (int, float, list, dict)):
        return 0.0 if a == b else float("inf")
    if isinstance(a, dict):
        return max((apart(a[k], b[k]) for k in a), default=0.0) if a.keys() == b.keys() else float("inf")
    if isinstance(a, list):
        alike = isinstance(b, list) and len(a) == len(b)
        return max((apart(x, y) for x, y in zip(a, b, strict=True)), default=0.0) if alike else float("inf")
    return abs(a - b) if isinstance(b, (int, float)) else float("inf")


def main():
    if len(sys.argv) == 1:
        print(json.dumps(dict(answers()), indent=0))
        return
    before, now = (json.loads(pathlib.Path(path).read_text()) for path in sys.argv[1:])
    found = {key: apart(before[key], now[key]) for key in before}
    for key, worst in sorted(found.items(), key=lambda item: -item[1])[:20]:
        print(f"{worst:9.2e}  {key}")
    print(f"{len(found)} answers, {sum(worst <= 1e-12 for worst in found.values())} equal to 1e-12")


if __name__ == "__main__":
    main()
