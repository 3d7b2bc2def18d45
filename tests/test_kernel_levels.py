"""Spectra of several levels: what one Gram matrix does not resolve is split off, and its bounds hold."""

from dataclasses import replace

import mpmath
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from kernel_cases import DOUBLE, exact_tails, gesvd_tails, hard_matrices, rotated, small_matrices
from registry import examples

import lowrank_blocks as lb
from lowrank_blocks.linalg import bounds, gram, levels, projection, tail_energy
from lowrank_blocks.linalg.eigen import Tridiagonal

RANDOM = examples(60)
SHARE = DOUBLE / np.sqrt(2)

i = np.arange(320)
SPECTRA = {
    "noise": np.where(i < 16, 1.0, 1e-5),
    "noise that decays": np.where(i < 16, 1.0, 1e-5 / (i + 1)),
    "three levels": np.select([i < 3, i < 20], [1.0, 1e-4], 1e-8),
    "steps": 10.0 ** -(i // 12 * 1.0),
    "a power, then noise": np.where(i < 30, (i + 1.0) ** -2, 1e-6),
    "power law": 1 / (i + 1.0),
    "the last is small": np.where(i < 319, 1.0, 1e-9),
    "some are small": np.where(i < 300, 1.0, 10.0 ** -(i - 290.0)),
    "the last is zero": np.where(i < 319, 1 / (i + 1.0), 0.0),
    "low rank": np.where(i < 16, 1.0, 0.0),
    "many dominant values": np.where(i < 40, 1.0, 1e-6),
    "gaps nowhere": np.repeat([1.0, 1e-7], [160, 160]),
}


@pytest.fixture
def svds(monkeypatch):
    """Shapes of the blocks that LAPACK's SVD is asked for."""
    solve, shapes = levels.lapack_values, []
    monkeypatch.setattr(levels, "lapack_values", lambda rows: (shapes.append(rows.shape), solve(rows))[1])
    return shapes


def truly_off(matrix, found):
    """Return by how much every error that a spectrum gives is off, against 50 digits."""
    ours = np.sqrt(tail_energy(found.values))
    return [abs(mpmath.mpf(float(e)) - t) for e, t in zip(ours, exact_tails(matrix), strict=True)][:-1]


def turned(vectors, angle, seed):
    """Return orthonormal columns turned a little."""
    noise = np.random.default_rng(seed).standard_normal(vectors.shape)
    return np.linalg.qr(vectors + angle * noise)[0]


@RANDOM
@given(small_matrices(), st.integers(1, 6), st.sampled_from([0.0, 1e-12, 1e-8, 1e-4, 1e-2]))
def test_bounds_hold_where_the_least_are_split_off(matrix, start, angle):
    """Whatever vectors they are split off by."""
    start = min(start, len(matrix) - 1)
    reduced = Tridiagonal(gram.gram(matrix))
    first = levels._of_gram(np.sqrt(np.maximum(reduced.values, 0.0)), matrix.shape)
    vectors = reduced.vectors(start, len(matrix))
    found = levels._with_least(matrix, turned(vectors, angle, start) if angle else vectors, first, 1e-9)
    assume(found is not None)
    assert (np.diff(found.values) <= 0).all()
    assert all(off <= bound for off, bound in zip(truly_off(matrix, found), found.bounds, strict=True))


@RANDOM
@given(small_matrices(), st.integers(1, 6), st.sampled_from([0.0, 1e-12, 1e-8, 1e-4, 1e-2]))
def test_bounds_hold_where_dominant_values_are_split_off(matrix, count, angle):
    """Whatever vectors they are split off by."""
    count = min(count, len(matrix) - 1)
    vectors = Tridiagonal(gram.gram(matrix)).vectors(0, count)
    part = projection.projected(matrix, turned(vectors, angle, count))
    found = levels._with_dominant(matrix, part, projection.coupling(matrix, part), 1e-9)
    assume(found is not None)
    assert (np.diff(found.values) <= 0).all()
    assert all(off <= bound for off, bound in zip(truly_off(matrix, found), found.bounds, strict=True))


def test_rows_that_are_not_orthonormal_are_counted():
    """Twice as uncertain as the block and the coupling are by them."""
    matrix = rotated(80, 90, np.append(np.full(6, 9.0), np.full(74, 1e-3)))
    part = projection.projected(matrix, np.linalg.svd(matrix)[0][:, :6])
    coupled = projection.coupling(matrix, part)
    plain, skew = (levels._with_dominant(matrix, replace(part, skew=s), coupled, 1e-9) for s in (0.0, 1e-12))
    added = (skew.bounds - plain.bounds) / np.linalg.norm(matrix)
    np.testing.assert_allclose(added, 4e-12, rtol=1e-3)


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize(
    "shape",
    [(320, 320), pytest.param((320, 500), marks=pytest.mark.exhaustive), (400, 320)],
    ids=str,
)
def test_errors_of_all_ranks_are_those_of_gesvd(name, shape):
    """Within what is certified, which is within what is allowed."""
    matrix = rotated(*shape, SPECTRA[name])
    tails, exponent = gesvd_tails(matrix)
    rows = np.ldexp(gram.flat(matrix), -exponent)
    found = levels.by_gram(rows, SHARE * tails[0])
    off = np.abs(np.sqrt(tail_energy(found.values)) - tails)[:-1]
    assert (off <= found.bounds + 4 * np.finfo(float).eps * tails[0]).all()
    assert found.bounds.max() <= SHARE * tails[0]
    assert off.max() <= 1e-12 * tails[0]


@pytest.mark.parametrize("name", SPECTRA)
def test_few_need_an_svd(name, svds):
    """LAPACK's SVD is asked for the few least values, or for nothing; where nothing else will do, for all."""
    found = levels.by_gram(rotated(320, 340, SPECTRA[name]), SHARE * np.linalg.norm(SPECTRA[name]))
    if name in {"gaps nowhere", "steps"}:
        assert (found.method, svds) == ("lapack", [(320, 340)])
    else:
        assert found.method == "gram"
        assert all(side <= 320 // levels._LEAST_SHARE for side, _ in svds)


@pytest.mark.parametrize("name", hard_matrices(4, 4))
@pytest.mark.parametrize("shape", [(48, 44), (64, 64), (70, 160)], ids=str)
def test_every_hard_matrix(name, shape, monkeypatch):
    """Levels forced on small blocks: dominant values are looked for, and everything has a Gram matrix."""
    monkeypatch.setattr(levels, "DOMINANT_FROM", 40)
    monkeypatch.setattr(levels, "_SAMPLE", 33)
    monkeypatch.setattr(levels, "gram_pays", lambda side, length, **_: side > 1)
    matrix = hard_matrices(*shape)[name]
    tails, exponent = gesvd_tails(matrix)
    found = levels.by_gram(np.ldexp(gram.flat(matrix), -exponent), SHARE * tails[0])
    off = np.abs(np.sqrt(tail_energy(found.values)) - tails)[:-1]
    assert (off <= found.bounds + 4 * np.finfo(float).eps * tails[0]).all()
    assert found.bounds.max() <= SHARE * tails[0]


def test_vectors_of_others_are_not_taken_for_the_least():
    """What they hold is not below all else; a leak as large as the gap is no proof either."""
    matrix = rotated(80, 90, np.where(np.arange(80) < 70, 1.0, 1e-9))
    reduced = Tridiagonal(gram.gram(matrix))
    first = levels._of_gram(np.sqrt(np.maximum(reduced.values, 0.0)), matrix.shape)
    least = reduced.vectors(70, 80)
    assert levels._with_least(matrix, least, first, 1e-9) is not None
    assert levels._with_least(matrix, np.hstack([reduced.vectors(0, 1), least[:, 1:]]), first, 1e-9) is None
    assert levels._with_least(matrix, turned(least, 0.5, 0), first, 1e-9) is None
    assert levels._with_least(matrix, reduced.vectors(69, 80), first, 1e-9) is None


def test_a_leak_is_part_of_what_is_certified():
    """Vectors a little off leave a coupling of a known size, twice of which is uncertain."""
    u, v = (np.linalg.qr(np.random.default_rng(n).standard_normal((80, 80)))[0] for n in (1, 2))
    s = np.where(np.arange(80) < 70, 4.0, 4e-3)
    vectors = u[:, 70:].copy()
    vectors[:, 0] += 1e-6 * u[:, 0]
    first = levels._of_gram(s, (80, 80))
    found = levels._with_least((u * s) @ v.T, np.linalg.qr(vectors)[0], first, 1.0)
    assert found.bounds[70:].min() == pytest.approx(8e-6, rel=1e-2)
    part = projection.projected((u * s) @ v.T, turned(u[:, :70], 1e-9, 0))
    found = levels._with_dominant((u * s) @ v.T, part, 1e-6, 1.0)
    assert found.bounds.min() == pytest.approx(2e-6, rel=1e-2)


@pytest.mark.parametrize("skew", [1e-6, 1e-3, 1e-2])
def test_vectors_that_are_not_orthonormal(skew):
    """What they stretch or shorten is part of what is certified."""
    matrix = rotated(80, 90, np.where(np.arange(80) < 70, 1.0, 1e-3))
    tails, exponent = gesvd_tails(matrix)
    reduced = Tridiagonal(gram.gram(matrix))
    first = levels._of_gram(np.sqrt(np.maximum(reduced.values, 0.0)), matrix.shape)
    for stretch in (1 + skew, 1 - skew):
        found = levels._with_least(matrix, stretch * reduced.vectors(70, 80), first, 1e-9)
        off = np.abs(np.sqrt(tail_energy(found.values)) - np.ldexp(tails, exponent))[:-1]
        assert off.max() >= skew * 1e-3
        assert (off <= found.bounds).all()


def test_what_the_rest_is_uncertain_of_is_uncertain_at_all_ranks(monkeypatch):
    matrix = rotated(80, 90, np.where(np.arange(80) < 6, 1.0, 1e-3))
    monkeypatch.setattr(levels, "lapack_norm", lambda norm, shape: 1e-5 + 0 * norm)
    part = projection.projected(matrix, np.linalg.svd(matrix)[0][:, :6])
    found = levels._with_dominant(matrix, part, 0.0, 1.0)
    assert found.bounds.min() >= 3e-5


def test_bounds_beyond_what_is_allowed_are_not_taken(monkeypatch):
    """Whatever the levels claim."""
    rows = rotated(320, 330, SPECTRA["power law"])
    for name in ("_by_one", "_by_dominant"):
        wrong = levels.Solved(np.ones(320), np.full(320, 1e-3), "gram")
        monkeypatch.setattr(levels, name, lambda *args, wrong=wrong: wrong)
        assert levels.by_gram(rows, 1e-2) is wrong
        assert levels.by_gram(rows, 1e-4).method == "lapack"


def test_the_energy_that_is_not_resolved():
    """A Gram matrix resolves the middle ranks if far more energy is left by few ranks; not if far less."""
    for side in (256, 1024):
        allowed = SHARE * 4
        unresolved = bounds.unresolved_energy(16.0, (side, side), allowed)
        for share, resolved in [(1e-2, False), (1e2, True)]:
            noise = np.sqrt(share * unresolved / (side - 16))
            values = np.where(np.arange(side) < 16, 1.0, noise)
            assert (levels._of_gram(values, (side, side)).bounds[side // 2] <= allowed) == resolved


def test_values_that_do_not_dominate():
    """A part whose least value is below the values that are left is not split off."""
    matrix = rotated(80, 90, 1.0 / np.arange(1, 81))
    u = np.linalg.svd(matrix)[0]
    for columns, split in ((u[:, :4], True), (u[:, 1:5], False), (u[:, [0, 1, 2, 9]], False)):
        part = projection.projected(matrix, columns)
        assert (levels._with_dominant(matrix, part, 0.0, 1.0) is not None) == split


def test_how_many_dominant_values_are_split_off():
    """As few as make the Gram matrix of the rest fine enough; none where as many as are cheap do not."""

    def count(values, resolved):
        return levels._dominant_to_split(values, (320, 320), resolved, SHARE * np.linalg.norm(values))

    assert count(SPECTRA["noise"], 16) == 16
    assert count(SPECTRA["many dominant values"], 40) == 40
    assert count(SPECTRA["many dominant values"], 39) is None
    assert count(10.0 ** (-i / 20), 100) is None
    assert count(1 / (i + 1.0), 300) == 1
    assert levels._dominant_to_split(SPECTRA["noise"][:255], (255, 255), 16, SHARE * 4) is None


def test_dominant_values_are_found_before_the_gram_matrix(monkeypatch):
    """In blocks large enough, and only where the Gram matrix of all would not do."""
    made, build = [], levels.gram
    monkeypatch.setattr(levels, "gram", lambda rows, **k: (made.append(len(rows)), build(rows, **k))[1])
    side = levels.DOMINANT_FROM
    for length, spectrum, expected in [
        (side, SPECTRA["noise"], [48, side - 16]),
        (side, SPECTRA["low rank"], [48, side - 16]),
        (side - 1, SPECTRA["noise"], [side - 1]),
        (side, SPECTRA["power law"], [48, side]),
        (side, np.where(i < 33, 1.0, 1e-5), [48, side]),
        (side, np.where(i < 16, 1.0, 1e-1), [48, side]),
    ]:
        made.clear()
        rows = rotated(length, 300, spectrum[:length])
        levels.by_gram(rows, SHARE * np.linalg.norm(rows))
        assert [n for n in made if n > 20][: len(expected)] == expected
    made.clear()
    rows = np.zeros((side, 300))
    rows[:: side // 48, :40] = rotated(len(rows[:: side // 48]), 40, np.where(i[:40] < 3, 9.0, 1e-9))
    rows[1 :: side // 48, 40:] = np.random.default_rng(0).standard_normal((len(rows[1 :: side // 48]), 260))
    levels.by_gram(rows, SHARE * np.linalg.norm(rows))
    assert made[:2] == [48, side]  # the dominant values of the sample are not those of the rest


def test_dominant_values_of_few_rows_are_no_harm():
    """A sample of rows that does not show them: the ways that remain give the same."""
    matrix = 1e-6 * np.random.default_rng(0).standard_normal((320, 320))
    matrix[1:9] += np.random.default_rng(1).standard_normal((8, 320))
    tails, _ = gesvd_tails(matrix)
    parts = lb.decompose(matrix, lb.Global())
    ours = [parts.relative_error([r]) for r in range(321)]
    np.testing.assert_allclose(ours, tails / tails[0], rtol=0, atol=parts.accuracy.relative_bound + 1e-15)
    assert parts.accuracy.relative_bound <= DOUBLE


def test_a_curve_needs_no_second_look(svds):
    """The energy of the least values is lost in a Gram matrix, and yet no block is solved by an SVD."""
    steep = rotated(80, 80, 10.0 ** (-np.maximum(np.arange(80) - 62.0, 0) / 2))
    curve = lb.error_curve(steep, lb.Global())
    tails, _ = gesvd_tails(steep)
    np.testing.assert_allclose(curve.relative_error, tails / tails[0], rtol=0, atol=DOUBLE)
    assert [side for side, _ in svds if side > 20] == []
