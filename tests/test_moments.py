"""Second moments of the inputs of layers, against sums that numpy computes from the inputs themselves."""

import numpy as np
import pytest

import lowrank_blocks as lb

torch = pytest.importorskip("torch", reason="needs pip install -e '.[test,peft]'")

pytestmark = pytest.mark.exhaustive  # as all that needs others' software


class Net(torch.nn.Module):
    """Two layers in a row, one beside them that is never run, and one scaled sum as a second argument."""

    def __init__(self):
        super().__init__()
        self.first = torch.nn.Linear(3, 4)
        self.inner = torch.nn.ModuleDict({"second": torch.nn.Linear(4, 2, bias=False)})
        self.unused = torch.nn.Linear(5, 5)

    def forward(self, x, scale=1.0):
        return self.inner["second"](torch.relu(self.first(scale * x)))


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Net().double().eval()


def inputs(*lengths):
    rng = np.random.default_rng(0)
    return [rng.standard_normal((2, length, 3)) for length in lengths]


def moment(rows):
    return rows.T @ rows / len(rows)


def expected(net, arrays):
    """Return x.T @ x / n for the inputs of both layers, computed by numpy alone."""
    x = np.concatenate([a.reshape(-1, a.shape[-1]) for a in arrays])
    weight, bias = (p.detach().numpy() for p in (net.first.weight, net.first.bias))
    return {"first.weight": moment(x), "inner.second.weight": moment(np.maximum(x @ weight.T + bias, 0))}


def assert_same(found, want):
    assert found.keys() == want.keys()
    for name, matrix in found.items():
        assert matrix.dtype == np.float64
        np.testing.assert_allclose(matrix, want[name], rtol=1e-13, atol=1e-15, err_msg=name)


BATCHES = {
    "one argument": (lambda x: x, 1),
    "tuple": (lambda x: (x, 2.0), 2),
    "tuple of one": (lambda x: (x,), 1),
    "dict": (lambda x: {"scale": 3.0, "x": x}, 3),
}


@pytest.mark.parametrize("kind", BATCHES)
def test_they_are_the_mean_of_outer_products_of_inputs(net, kind):
    as_batch, scale = BATCHES[kind]
    arrays = inputs(5, 1, 7)  # batches of different lengths count by their samples
    found = lb.second_moments(net, (as_batch(torch.from_numpy(x)) for x in arrays))
    assert_same(found, expected(net, [scale * x for x in arrays]))


def test_a_layer_that_runs_twice_counts_both_inputs(net):
    twice = torch.nn.Sequential(net.first, torch.nn.Linear(4, 3).double(), net.first)
    x = inputs(4)[0].reshape(-1, 3)
    y = twice[:2](torch.from_numpy(x)).detach().numpy()
    found = lb.second_moments(twice, [torch.from_numpy(x)], include=r"^0\.")
    assert_same(found, {"0.weight": moment(np.concatenate([x, y]))})


def test_narrow_inputs_are_summed_in_float64(net):
    x = inputs(50)[0].astype(np.float32)
    found = lb.second_moments(net.float(), [torch.from_numpy(x)], include="first")
    assert_same(found, {"first.weight": moment(x.astype(np.float64).reshape(-1, 3))})


def test_transformers_conv1d_counts_as_linear():
    class Conv1D(torch.nn.Module):  # known by the name of its type: transformers is not needed
        def forward(self, x):
            return x

    x = inputs(6)[0]
    net = torch.nn.Sequential(Conv1D(), torch.nn.ReLU())
    found = lb.second_moments(net, [torch.from_numpy(x)])
    assert_same(found, {"0.weight": moment(x.reshape(-1, 3))})


def test_include_names_weights(net):
    x = torch.from_numpy(inputs(2)[0])
    assert set(lb.second_moments(net, [x], include=r"second\.weight$")) == {"inner.second.weight"}


def test_they_weigh_an_update_by_the_outputs_of_its_layer(net):
    x = inputs(9)[0]
    C = lb.second_moments(net, [torch.from_numpy(x)])["first.weight"]
    dW = np.random.default_rng(1).standard_normal((4, 3))
    best = lb.approximate(dW, lb.Global(), rank=1, col_weights=C)
    rows = x.reshape(-1, 3)
    lost = np.linalg.norm(rows @ (dW - best.to_dense()).T) / np.linalg.norm(rows @ dW.T)
    assert best.relative_error == pytest.approx(lost, rel=1e-10)


def hooks(net):
    return [module for module in net.modules() if module._forward_pre_hooks]


def test_hooks_are_removed(net):
    lb.second_moments(net, [torch.from_numpy(inputs(2)[0])])
    assert not hooks(net)


def test_hooks_are_removed_after_an_exception_of_the_model(net):
    x = torch.from_numpy(inputs(2)[0])
    with pytest.raises(RuntimeError):
        lb.second_moments(net, [x, x[..., :2]])
    assert not hooks(net)


def test_hooks_are_removed_after_an_exception_of_the_batches(net):
    seen = []

    def batches():
        yield torch.from_numpy(inputs(2)[0])
        seen.append(len(hooks(net)))
        raise OSError("no more sentences")

    with pytest.raises(OSError, match="no more sentences"):
        lb.second_moments(net, batches())
    assert seen == [3]  # they were there
    assert not hooks(net)


def test_a_model_without_such_a_layer_is_refused(net):
    x = torch.from_numpy(inputs(2)[0])
    with pytest.raises(ValueError, match="include must find the weight of a linear layer, got 'third'"):
        lb.second_moments(net, [x], include="third")
    with pytest.raises(ValueError, match="include must find the weight of a linear layer, got None"):
        lb.second_moments(torch.nn.Sequential(torch.nn.ReLU()), [x])


def test_no_batch_is_refused(net):
    with pytest.raises(ValueError, match="batches must hold at least one batch, got none"):
        lb.second_moments(net, [])
    assert not hooks(net)
