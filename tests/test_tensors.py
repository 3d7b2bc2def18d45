"""PyTorch tensors are taken as they come: parameters, bfloat16, without an import of torch."""

import subprocess
import sys

import numpy as np
import pytest

import lowrank_blocks as lb
from lowrank_blocks._validation import as_operand

WITHOUT_TORCH = "torch is no dependency and CI may lack it; the stand-in below takes the same path"
BITS = np.random.default_rng(0).integers(0x3C00, 0x4200, (9, 7)).astype(np.uint16)
WIDE = (BITS.astype(np.uint32) << 16).view(np.float32)  # what bfloat16 of these bits means


class Tensor:
    """As much of a tensor as numpy gets to see, with the refusals of torch."""

    def __init__(self, bits, dtype="torch.bfloat16", *, grad=False, device="cuda:0"):
        self.bits, self.dtype, self.grad, self.device = bits, dtype, grad, device

    def detach(self):
        return Tensor(self.bits, self.dtype, device=self.device)

    def cpu(self):
        return Tensor(self.bits, self.dtype, grad=self.grad, device="cpu")

    def float(self):
        return Tensor((self.bits.astype(np.uint32) << 16).view(np.float32), "torch.float32", device="cpu")

    def __array__(self, dtype=None, copy=None):
        if self.grad:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad.")
        if self.device != "cpu":
            raise TypeError("can't convert cuda:0 device type tensor to numpy.")
        if self.dtype != "torch.float32":
            raise TypeError(f"Got unsupported ScalarType {self.dtype}")
        return self.bits


def torch_or_skip():
    return pytest.importorskip("torch", reason=WITHOUT_TORCH)


def same(answer, expected):
    np.testing.assert_array_equal(answer.to_dense(), expected.to_dense())
    assert answer.to_dense().dtype == np.float32
    assert (answer.error, answer.accuracy) == (expected.error, expected.accuracy)


@pytest.mark.parametrize("grad", [False, True])
def test_a_stand_in_for_a_tensor_is_taken(grad):
    expected = lb.approximate(WIDE, lb.Localized(2), 60)

    same(lb.approximate(Tensor(BITS, grad=grad), lb.Localized(2), 60), expected)
    x = WIDE[:3]
    np.testing.assert_array_equal(expected.apply(Tensor(BITS[:3], grad=grad)), expected.apply(x))


def test_a_tensor_that_numpy_cannot_hold_is_refused_with_the_call():
    with pytest.raises(TypeError, match=r"dW must be .*float8_e4m3fn.* call \.float\(\)"):
        lb.approximate(Tensor(BITS, "torch.float8_e4m3fn"), lb.Global(), 8)


@pytest.mark.parametrize("parameter", [False, True])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64", "int64", "bool"])
def test_tensors_are_taken(dtype, parameter):
    torch = torch_or_skip()
    tensor = torch.from_numpy(WIDE.copy()).to(getattr(torch, dtype))
    values = tensor.to(torch.float64 if dtype in ("int64", "bool", "float64") else torch.float32).numpy()
    if parameter:
        tensor = torch.nn.Parameter(tensor, requires_grad=tensor.is_floating_point())
    before = tensor.detach().clone()

    answer = lb.approximate(tensor, lb.Localized(2), 60)

    expected = lb.approximate(values, lb.Localized(2), 60)
    np.testing.assert_array_equal(answer.to_dense(), expected.to_dense())
    assert answer.factors[0][0].dtype == expected.factors[0][0].dtype
    assert torch.equal(tensor.detach(), before)
    assert lb.compare(tensor, [lb.Global()], 60) == lb.compare(values, [lb.Global()], 60)
    assert lb.decompose(tensor.T, lb.Global()).norm == pytest.approx(np.linalg.norm(values), rel=1e-6)


def test_every_finite_bfloat16_is_widened_exactly():
    torch = torch_or_skip()
    bits = np.arange(1 << 16, dtype=np.uint16).reshape(256, 256)
    finite = np.where((bits & 0x7F80) == 0x7F80, 0, bits).astype(np.uint16)
    tensor = torch.from_numpy(finite.view(np.int16).copy()).view(torch.bfloat16)

    np.testing.assert_array_equal(as_operand(tensor), (finite.astype(np.uint32) << 16).view(np.float32))


def test_other_tensors_are_refused_with_the_call():
    torch = torch_or_skip()
    dense = torch.ones(4, 4)
    for tensor, fragment in [
        (dense.to(torch.float8_e4m3fn), r"float8_e4m3fn.*call \.float\(\)"),
        (dense.to_sparse(), r"\.to_dense\(\)"),
        (dense.to("meta"), "no data"),
        (dense + 1j, "got dtype complex64"),
    ]:
        with pytest.raises(TypeError, match=f"dW must be .*{fragment}"):
            lb.approximate(tensor, lb.Global(), 8)
    dense[1, 2] = float("nan")
    with pytest.raises(ValueError, match=r"dW must be finite, got dW\[1, 2\] = nan"):
        lb.approximate(dense.bfloat16(), lb.Global(), 8)


def test_operands_may_be_tensors_from_both_sides():
    torch = torch_or_skip()
    best = lb.approximate(WIDE, lb.Localized(2), 60)
    x = torch.from_numpy(WIDE.copy()).bfloat16()

    np.testing.assert_array_equal(best.apply(torch.nn.Parameter(x)), best.apply(WIDE))
    np.testing.assert_array_equal(best @ x.T, best @ WIDE.T)
    np.testing.assert_array_equal(x.T @ best, WIDE.T @ best)


def test_torch_is_not_imported_for_arrays():
    code = (
        "import sys, numpy as np, lowrank_blocks as lb\n"
        "lb.approximate(np.eye(4), lb.Localized(2), 8).apply(np.eye(4)); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "False\n"
