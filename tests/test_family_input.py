"""What families refuse, singular weights, and fits as values."""

import numpy as np
import pytest
from families import KINDS
from family_targets import normal, tails

import lowrank_blocks as lb

P = lb.peft


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
