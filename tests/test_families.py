"""Laws of all families of adapters: what the fits say is true, and nothing of the family is nearer."""

import math

import numpy as np
import pytest
from families import KINDS
from peft_formulas import tuned
from registry import with_spectrum

import lowrank_blocks as lb

P = lb.peft
EPS = 2.0**-52
CLOSED = (P.Claim.OPTIMAL, P.Claim.INFIMUM)


def normal(m, n, seed=0):
    return np.random.default_rng([m, n, seed]).standard_normal((m, n))


TARGETS = {
    "square": normal(12, 12),
    "wide": normal(8, 24),
    "tall": normal(24, 8),
    "odd": normal(9, 7),
    "ragged": normal(10, 13),
    "power law": with_spectrum((12, 12), np.arange(1.0, 13) ** -1.5),
    "low rank": with_spectrum((24, 8), [2.0, 1.0]),
    "small": 1e-30 * normal(12, 12, 1),
    "large": 1e30 * normal(8, 24, 1),
    "spike": np.where(np.arange(144).reshape(12, 12) == 50, 1e6, normal(12, 12, 2)),
    "zeros": np.zeros((12, 12)),
}
TELLING = ("square", "wide", "ragged", "zeros")


def base_of(dW):
    """Return a base of the size of the update."""
    return normal(*dW.shape, seed=9) * (np.linalg.norm(dW) or 1.0) / math.sqrt(dW.size)


def cases(names=TARGETS, kinds=KINDS):
    return pytest.mark.parametrize(
        ("kind", "dW"),
        [
            pytest.param(
                kind, TARGETS[name], id=f"{kind.name}-{name}",
                marks=() if name in TELLING else pytest.mark.exhaustive,
            )
            for kind in kinds
            for name in names
            if kind.fits(*TARGETS[name].shape)
        ],
    )  # fmt: skip


def solved(kind, dW):
    return kind.make(*dW.shape).nearest(dW, base=base_of(dW))


def size(*matrices):
    return sum(float(np.linalg.norm(matrix)) for matrix in matrices)


def noise(rng, tensor, family):
    """Return noise that leaves zeros where a family is packed into the file of another."""
    drawn = rng.standard_normal(tensor.shape)
    return np.where(tensor != 0, drawn, 0) if family.packed else drawn


GENERIC = ("square", "wide", "tall", "odd", "ragged", "power law")


@cases()
def test_error_is_that_of_the_dense_update(kind, dW):
    fit = solved(kind, dW)

    error = np.linalg.norm(dW - fit.to_dense())
    assert abs(fit.error - error) <= 64 * EPS * size(dW, base_of(dW))
    assert fit.relative_error == pytest.approx(error / np.linalg.norm(dW) if dW.any() else 0, abs=1e-12) or (
        not dW.any() and fit.error > 0
    )
    assert fit.lower_bound is None or fit.lower_bound <= fit.relative_error
    assert fit.guarantee is not P.Claim.OPTIMAL or fit.lower_bound == fit.relative_error


@cases()
def test_numbers_are_those_of_the_trained_tensors(kind, dW):
    fit = solved(kind, dW)
    family = fit.family

    assert fit.n_parameters == family.n_parameters(dW.shape)
    if family.unwritten:
        with pytest.raises(ValueError, match="must have a format that PEFT loads"):
            fit.tensors()
        with pytest.raises(ValueError, match="must have a format"):
            fit.config()
        return
    trained = sum(tensor.size for name, tensor in fit.tensors().items() if name not in family.fixed)
    assert trained >= fit.n_parameters if family.packed else trained == fit.n_parameters
    assert fit.config()["peft_type"] == family.format


@cases(GENERIC)
def test_tensors_give_the_dense_update_by_the_formulas_of_peft(kind, dW):
    if kind.make(*dW.shape).unwritten:
        return
    fit, W = solved(kind, dW), base_of(dW)

    new = tuned(fit.tensors(), fit.config(), W)

    np.testing.assert_allclose(new, W + fit.to_dense(), rtol=0, atol=1e-12 * size(W, dW))


@cases(GENERIC, [kind for kind in KINDS if kind.linear])
def test_residuals_of_linear_families_are_orthogonal_to_all_members(kind, dW):
    """Members by perturbing the stored tensors: no solver of the package is asked."""
    fit, base = solved(kind, dW), base_of(dW)
    family, target = fit.family, P.target.Target.of(dW, base)
    residual, X = dW - fit.to_dense(), fit.to_dense()
    rng = np.random.default_rng(0)
    halves = {"vera_lambda_d", "randlora_lambda"}

    for _ in range(5):
        moved = {
            name: tensor + (0 if name in family.fixed or name in halves else noise(rng, tensor, family))
            for name, tensor in fit._tensors.items()
        }
        direction = family.product(moved, target) - X
        assert abs(np.vdot(residual, direction)) <= 1e-11 * size(dW, base) * np.linalg.norm(direction)


@cases(("square", "wide", "ragged", "power law"))
def test_no_perturbed_member_is_nearer(kind, dW):
    fit, base = solved(kind, dW), base_of(dW)
    if fit.guarantee not in CLOSED and kind.name != "boft":
        return
    family, target = fit.family, P.target.Target.of(dW, base)
    rng = np.random.default_rng(1)
    scales = {name: np.abs(tensor).max() or 1.0 for name, tensor in fit._tensors.items()}

    for step in 10.0 ** -rng.uniform(0, 6, 60):
        moved = {
            name: tensor
            if name in family.fixed or name == "boft_s"
            else tensor + step * scales[name] * noise(rng, tensor, family)
            for name, tensor in fit._tensors.items()
        }
        error = np.linalg.norm(dW - family.product(moved, target))
        assert error >= fit.error - 1e-12 * size(dW, base)


def member(kind, shape):
    """Return a base and a member of the family: the fit's tensors with other numbers."""
    base = normal(*shape, seed=5)
    family, target = kind.make(*shape), P.target.Target.of(normal(*shape, seed=6), base)
    rng = np.random.default_rng(7)
    keep = {*family.fixed, "vera_lambda_d", "randlora_lambda", "boft_s", "lora_magnitude_vector"}
    tensors = {
        name: tensor if name in keep else rng.standard_normal(tensor.shape)
        for name, tensor in family.solve(target).tensors.items()
    }
    if family.packed:
        tensors = family.solve(target).tensors
    return family.product(tensors, target), base


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        pytest.param(kind, shape, id=f"{kind.name}-{shape}")
        for kind in KINDS
        for shape in [(12, 12), (8, 24), (24, 8), (9, 7), (10, 13)]
        if kind.fits(*shape)
    ],
)
def test_planted_members_are_found(kind, shape):
    dW, base = member(kind, shape)

    fit = kind.make(*shape).nearest(dW, base=base)

    if fit.guarantee is not P.Claim.UPPER:
        assert fit.error <= 1e-12 * size(dW, base)
    elif fit.lower_bound is not None:
        assert fit.lower_bound <= 1e-12


@cases(("square", "wide"))
def test_the_same_update_gives_the_same_bits_and_is_not_written_to(kind, dW):
    given, base = dW.copy(), base_of(dW)
    given.flags.writeable = base.flags.writeable = False

    first, second = (kind.make(*dW.shape).nearest(given, base=base) for _ in range(2))

    assert np.array_equal(first.to_dense(), second.to_dense())
    assert all(np.array_equal(a, second._tensors[name]) for name, a in first._tensors.items())


def test_kinds_name_all_families():
    named = {type(kind.make(24, 24)) for kind in KINDS}
    public = {getattr(P, name) for name in P.__all__}

    assert {
        cls for cls in public if isinstance(cls, type) and issubclass(cls, P.Family) and cls is not P.Family
    } == named


# Oracles of the families that are not linear: the same error by other means.


def tails(blocks, ranks):
    return math.sqrt(
        sum(
            np.square(np.linalg.svd(b, compute_uv=False)[r:]).sum()
            for b, r in zip(blocks, ranks, strict=True)
        )
    )


@pytest.mark.parametrize("name", ["square", "wide", "tall"])
def test_errors_of_low_rank_blocks(name):
    dW = TARGETS[name]
    m, n = dW.shape
    near = lambda family: family.nearest(dW, base=base_of(dW)).error  # noqa: E731
    halves = [h for rows in np.split(dW, 2) for h in np.split(rows, 2, axis=1)]
    whole = pytest.approx(tails([dW], [4]), rel=1e-12)

    assert [near(f(4)) for f in (P.LoRA, P.RsLoRA, P.AdaLoRA, P.DeLoRA, P.DEFT)] == [whole] * 5
    assert near(P.GraLoRA(4, k=2)) == pytest.approx(tails(halves, [2] * 4), rel=1e-12)
    assert near(P.BDLoRA(4, k=2, side="A")) == pytest.approx(
        tails(np.split(dW, 2, axis=1), [2, 2]), rel=1e-12
    )
    assert near(P.BDLoRA(4, k=2, side="B")) == pytest.approx(tails(np.split(dW, 2), [2, 2]), rel=1e-12)
    inside, outside = [halves[0], halves[3]], [halves[1], halves[2]]
    assert near(P.MELoRA(2, 2)) == pytest.approx(tails(inside + outside, [2, 2, 0, 0]), rel=1e-12)
    assert near(P.DiaBlo(2)) == pytest.approx(tails(outside, [0, 0]), rel=1e-12)
    tiles = dW.reshape(4, m // 4, 4, n // 4).swapaxes(1, 2).reshape(16, -1)
    assert near(P.LoKr(4)) == pytest.approx(tails([tiles], [1]), rel=1e-12)
    smallest = np.linalg.svd(base_of(dW), full_matrices=False)
    lost = (smallest[0][:, -4:] * smallest[1][-4:]) @ smallest[2][-4:]
    assert [near(P.KaSA(4)), near(P.OSF(4))] == [pytest.approx(tails([dW + lost], [4]), rel=1e-12)] * 2


@pytest.mark.parametrize("name", GENERIC)
def test_psoft_projects_on_the_leading_singular_vectors(name):
    dW = TARGETS[name]
    u, _, vt = np.linalg.svd(base_of(dW), full_matrices=False)
    u, vt = u[:, :3], vt[:3]

    fit = P.PSOFT(3).nearest(dW, base=base_of(dW))

    np.testing.assert_allclose(fit.to_dense(), u @ (u.T @ dW @ vt.T) @ vt, rtol=0, atol=1e-11 * size(dW))


@pytest.mark.parametrize("name", ["square", "wide", "tall"])
def test_shira_keeps_what_sparse_keeps(name):
    dW = TARGETS[name]
    fit = P.SHiRA(2).nearest(dW)

    best = lb.approximate(dW, lb.Sparse(), rank=2)
    np.testing.assert_allclose(fit.to_dense(), best.to_dense(), rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", ["square", "wide", "tall"])
def test_orthogonal_families_meet_their_first_order_conditions(name):
    """R N is symmetric with a trace that no rotation raises; U spans the smallest eigenvalues."""
    dW = TARGETS[name]
    W = base_of(dW)
    T = W + dW
    fit = P.OFT(4).nearest(dW, base=W)
    for k in range(0, W.shape[1], 4):
        span = slice(k, k + 4)
        N = W[:, span].T @ T[:, span]
        turned = W[:, span] + fit.to_dense()[:, span]
        R = np.linalg.lstsq(W[:, span], turned, rcond=None)[0].T
        np.testing.assert_allclose(R @ R.T, np.eye(4), atol=1e-10)
        assert np.linalg.det(R) == pytest.approx(1)
        np.testing.assert_allclose(R @ N, (R @ N).T, atol=1e-10 * np.linalg.norm(N))
        s = np.linalg.svd(N, compute_uv=False)
        s[-1] *= np.sign(np.linalg.det(N))
        assert np.trace(R @ N) == pytest.approx(s.sum())
    values = np.linalg.eigvalsh((W.T @ T + T.T @ W) / 2)
    squared = np.vdot(dW, dW) + 4 * values[:3].sum()
    assert P.HRA(3).nearest(dW, base=W).error == pytest.approx(math.sqrt(squared))
    values = np.linalg.eigvalsh(T @ T.T - dW @ dW.T)
    squared = np.vdot(dW, dW) + values[:3].sum()
    assert P.PaRa(3).nearest(dW, base=W).error == pytest.approx(math.sqrt(squared))


def test_half_turns_are_approached_and_said_so():
    W = normal(8, 4)
    turn = np.diag([-1.0, -1.0, 1.0, 1.0])

    fit = P.OFT(4).nearest(W @ turn - W, base=W)

    assert fit.guarantee is P.Claim.INFIMUM
    assert fit.error <= 1e-6 * np.linalg.norm(W)
    assert fit.lower_bound <= 1e-12
    assert all(np.isfinite(t).all() for t in fit.tensors().values())


def test_reflections_are_out_of_reach_of_rotations():
    W = np.eye(4)
    fit = P.OFT(4).nearest(W @ np.diag([-1.0, 1.0, 1.0, 1.0]) - W, base=W)

    assert fit.error == pytest.approx(2)  # the identity is as near as any rotation
    assert P.HRA(1).nearest(W @ np.diag([-1.0, 1.0, 1.0, 1.0]) - W, base=W).error <= 1e-12


@pytest.mark.parametrize("name", GENERIC)
def test_brackets(name):
    dW = TARGETS[name]
    W = base_of(dW)
    dora, lora, rows = (f.nearest(dW, base=W) for f in (P.DoRA(2), P.LoRA(2), P.IA3("rows")))
    loha, hira = P.LoHa(2).nearest(dW), P.HiRA(2).nearest(dW, base=W)

    assert dora.error <= lora.error * (1 + 1e-12)
    assert dora.error <= rows.error * (1 + 1e-12)
    assert loha.error == pytest.approx(tails([dW], [2]))
    assert loha.lower_bound * np.linalg.norm(dW) == pytest.approx(tails([dW], [4]))
    assert hira.lower_bound * np.linalg.norm(dW) == pytest.approx(np.abs(W).min() * tails([dW / W], [2]))
    assert {f.guarantee for f in (dora, loha, hira)} == {P.Claim.UPPER}
    assert hira.relative_error < 1


def test_fourierft_never_holds_the_odd_part():
    dW = TARGETS["ragged"]
    m, n = dW.shape
    mirrored = dW[np.ix_(-np.arange(m) % m, -np.arange(n) % n)]

    fit = P.FourierFT(m * n).nearest(dW)

    np.testing.assert_allclose(fit.to_dense(), (dW + mirrored) / 2, atol=1e-12)


def test_places_are_those_of_pytorch():
    """Its first ten of ``torch.randperm(130, generator=torch.Generator().manual_seed(777))``."""
    from lowrank_blocks.peft.generators import first_of_permutation, uniform

    assert first_of_permutation(130, 10, 777).tolist() == PERMUTED
    assert sorted(first_of_permutation(130, 130, 777).tolist()) == list(range(130))
    drawn = uniform(((1, 3), (2, 2)), (0.5, 2.0), 777)
    assert [part.ravel().tolist() for part in drawn] == UNIFORM


PERMUTED = [55, 15, 61, 105, 117, 7, 113, 122, 25, 13]
UNIFORM = [
    [-0.41808468103408813, -0.008862555027008057, -0.09670668840408325],
    [-0.45632028579711914, 1.5252892971038818, 1.524395227432251, 0.8969895839691162],
]


def near(family, m=12, n=12, base=None):
    return lambda: family.nearest(np.ones((m, n)), base=base)


def written(dtype="float32", **fits):
    return lambda: P.write(
        "/nowhere", {name.replace("_", "."): fit for name, fit in fits.items()}, dtype=dtype
    )


FIT = P.LoRA(1).nearest(np.eye(2))
THIN = np.diag([1.0] + 11 * [0.0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: P.LoRA(0), "r must be a positive integer, got 0"),
        (lambda: P.LoRA(2.0), "r must be a positive integer, got 2.0"),
        (near(P.LoRA(9), 8), "r must be at most the smaller side of the matrix, 8, got 9"),
        (lambda: P.LoRA(rank=3), "there is no argument rank; write lb.peft.LoRA"),
        (lambda: P.GraLoRA(3, k=2), "k must divide the rank r, 3, got 2; the nearest that do are 1 and 3"),
        (near(P.GraLoRA(4, k=4), 10, 8), "k must divide the rows of the matrix, 10, got 4"),
        (lambda: P.BDLoRA(4, k=1), "k must be at least 2, got 1"),
        (lambda: P.BDLoRA(4, k=2, side="C"), 'side must be "A" or "B"'),
        (near(P.BDLoRA(9, k=3), 2), "r must be at most k times the smaller side of a stripe, 6, got 9"),
        (near(P.MELoRA(2, 3), 4, 4), "r must be at most the smaller side of a block, 2"),
        (near(P.C3A(5)), "b must divide the rows of the matrix, 12, got 5; the nearest that do are 4 and 6"),
        (near(P.MiSS(13)), "r must be at most the columns of the matrix, 12, got 13"),
        (near(P.MiSS(2, mini=5)), "mini must divide the rows of the matrix, 12, got 5"),
        (near(P.LoKr(5)), "factor must divide the rows"),
        (lambda: P.OFT(1), "b must be at least 2"),
        (near(P.OFT(5), base=THIN), "b must divide the columns"),
        (near(P.OFT(4)), r"base must be given for OFT\(b=4, shared=False\)"),
        (lambda: P.IA3("cols"), 'axis must be "rows" or "columns"'),
        (lambda: P.GLoRA("lora"), 'kind must be "vector" or "constant"'),
        (lambda: P.RoAd(3), "variant must be 1, 2 or 4, got 3"),
        (lambda: P.RoAd(1, group_size=3), "group_size must be even, got 3"),
        (near(P.FourierFT(145)), "n_frequency must be at most the entries of the matrix, 144"),
        (lambda: P.FourierFT(2, seed=-1), "seed must be a non-negative integer, got -1"),
        (lambda: P.FourierFT(2, seed=2**32), r"seed must be below 2\*\*32"),
        (near(P.WaveFT(2), 3), "rows of the matrix must be even in number"),
        (near(P.KaSA(12), base=THIN), "r must be at most the smaller side of the matrix less 1, 11"),
        (near(P.OSF(12), base=THIN), "r must be at most the smaller side of the matrix less 1, 11"),
        (near(P.SHiRA(7)), r"r must be at most m n / \(m \+ n\), 6, got 7"),
        (near(P.IA3(), base=np.eye(4)), r"base must have the shape of dW, \(12, 12\), got \(4, 4\)"),
        (lambda: P.LoRA(1).nearest(np.full((2, 2), np.nan)), r"dW must be finite, got dW\[0, 0\]"),
        (lambda: P.LoRA(1).nearest(np.full((2, 2), 1e200)), r"dW must have a largest entry between"),
        (written(), "fits must be a dict of at least one fit"),
        (written(a_weight=3), r"fits\['a.weight'\] must be a Fit"),
        (written(a=FIT), "fits must hold names that end in .weight"),
        (written("int8", a_weight=FIT), "dtype must be one of"),
        (
            written(a_weight=FIT, b_weight=P.LoRA(2).nearest(np.eye(2))),
            r"of one family with one setting, got LoRA\(r=1\) for 'a' of \(2, 2\) and LoRA\(r=2\)",
        ),
        (
            written(**{f"{'abc'[n]}_weight": P.VeRA(2).nearest(np.ones((2, n))) for n in (1, 2)}),
            "fits must share base_model.vera_A",
        ),
    ],
)
def test_bad_input(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()


def test_singular_bases_do_no_harm():
    W, dW = np.outer(np.arange(6.0), np.ones(8)), normal(6, 8)
    zero = np.zeros((6, 8))

    assert P.PSOFT(3).nearest(dW, base=W).error <= P.PSOFT(1).nearest(dW, base=W).error
    for kind in KINDS:
        family = kind.make(6, 8)
        if kind.fits(6, 8):
            for base in (W, zero):
                fit = family.nearest(dW, base=base)
                assert np.isfinite(fit.error)
                assert all(np.isfinite(tensor).all() for tensor in fit._tensors.values())


def test_zero_rows_of_the_base_do_no_harm():
    W = normal(6, 8)
    W[2] = 0
    dW = normal(6, 8, 1)

    for family in (P.IA3("rows"), P.GLoRA(), P.RoAd(1, 2), P.RoAd(2, 2), P.DoRA(2), P.HiRA(2), P.OFT(4)):
        fit = family.nearest(dW, base=W)
        assert np.isfinite(fit.to_dense()).all()
        assert all(np.isfinite(tensor).all() for tensor in fit.tensors().values())


def test_fits_are_values(tmp_path):
    import pickle

    fit = P.GraLoRA(4, k=2).nearest(normal(8, 8))
    again = pickle.loads(pickle.dumps(fit))

    assert again.family == fit.family == P.GraLoRA(r=4, k=2)
    assert hash(again.family) == hash(fit.family)
    assert repr(fit) == repr(again)
    assert eval(repr(fit.family), vars(P)) == fit.family
    fit.to_dense()[:] = 0
    fit.tensors()["gralora_A"][:] = 0
    assert np.array_equal(fit.to_dense(), again.to_dense())
    with pytest.raises(ValueError, match="read-only"):
        again._dense[0, 0] = 1.0


def test_float32_and_torchlike_updates_are_solved_in_float64():
    dW = normal(8, 6).astype(np.float32)

    fit = P.LoRA(2).nearest(dW)

    assert fit.to_dense().dtype == np.float64
    assert fit.error == pytest.approx(tails([dW.astype(np.float64)], [2]), rel=1e-12)
