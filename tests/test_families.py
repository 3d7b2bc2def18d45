"""Laws of all families of adapters: what the fits say is true, and nothing of the family is nearer."""

import numpy as np
import pytest
from families import KINDS
from family_targets import GENERIC, base_of, cases, normal, size, solved
from peft_formulas import tuned

import lowrank_blocks as lb
from lowrank_blocks.peft.registry import FAMILIES

P = lb.peft
EPS = 2.0**-52
CLOSED = (P.Claim.OPTIMAL, P.Claim.INFIMUM)


def noise(rng, tensor, family):
    """Return noise that leaves zeros where a family is packed into the file of another."""
    drawn = rng.standard_normal(tensor.shape)
    return np.where(tensor != 0, drawn, 0) if family.packed else drawn


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
    tensors = fit.tensors()
    if not family.packed:
        assert {name: tensor.shape for name, tensor in tensors.items()} == family.tensor_shapes(dW.shape)
    trained = sum(tensor.size for name, tensor in tensors.items() if name not in family.fixed)
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


@pytest.mark.parametrize("count", [60, pytest.param(3000, marks=pytest.mark.exhaustive)])
@cases(("square", "wide", "ragged", "power law"))
def test_no_perturbed_member_is_nearer(kind, dW, count):
    fit, base = solved(kind, dW), base_of(dW)
    if fit.guarantee not in CLOSED and kind.name != "boft":
        return
    family, target = fit.family, P.target.Target.of(dW, base)
    rng = np.random.default_rng(1)
    scales = {name: np.abs(tensor).max() or 1.0 for name, tensor in fit._tensors.items()}

    for step in 10.0 ** -rng.uniform(0, 6, count):
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

    assert (
        set(FAMILIES)
        == named
        == {
            cls
            for cls in public
            if isinstance(cls, type) and issubclass(cls, P.Family) and cls is not P.Family
        }
    )
