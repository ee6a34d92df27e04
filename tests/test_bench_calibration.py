"""The parts of the calibration benchmark whose figures would be wrong without a sign of it: GPTQ, and perplexity."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason='needs PyTorch: pip install ".[proof]"')
sys.path.insert(0, str(Path(__file__).parent / "bench"))
from gptq import DAMPING, gptq, quantize, round_to_nearest  # noqa: E402
from small_gpt import GPT, perplexity  # noqa: E402

del sys.path[0]


def problem(seed: int, rows: int = 12, inputs: int = 48):
    """Weights, and inputs that go together as those of a layer do: float64[rows, inputs], float64[samples, inputs]."""
    chance = np.random.default_rng(seed)
    samples = chance.normal(size=(200, inputs // 4)) @ chance.normal(size=(inputs // 4, inputs))
    samples += 0.3 * chance.normal(size=(200, inputs))
    return torch.from_numpy(chance.normal(size=(rows, inputs))), torch.from_numpy(samples)


def is_on_a_grid(values: np.ndarray, bits: int) -> bool:
    """Whether all values are among 2**bits evenly spaced ones."""
    low, width = values.min(), np.ptp(values)
    if width == 0:
        return True
    places = [(values - low) / width * steps for steps in range(1, 2**bits)]
    return any(np.abs(place - place.round()).max() < 1e-3 for place in places)


def solved_again_for_every_column(weights: np.ndarray, hessian: np.ndarray, bits: int, group: int) -> np.ndarray:
    """GPTQ as it is meant: round a column, and solve for the columns after it by least squares, from the start."""
    hessian = hessian + DAMPING * np.diag(hessian).mean() * np.eye(len(hessian))
    now, count = weights.copy(), weights.shape[1]
    for i in range(count):
        if i % group == 0:
            part = now[:, i : i + group]
            low, high = np.minimum(part.min(1), 0), np.maximum(part.max(1), 0)
            step = (high - low) / (2**bits - 1)
            zero = np.round(-low / step)
        now[:, i] = step * (np.clip(np.round(now[:, i] / step + zero), 0, 2**bits - 1) - zero)
        fixed, free = slice(0, i + 1), slice(i + 1, count)
        pull = (now - weights)[:, fixed] @ hessian[fixed, free]
        now[:, free] = weights[:, free] - np.linalg.solve(hessian[free, free], pull.T).T
    return now


@given(seed=st.integers(0, 2**32), bits=st.sampled_from([2, 3, 4]), group=st.sampled_from([8, 16, 64]))
def test_gptq_makes_up_for_rounding_as_least_squares_would(seed, bits, group):
    weights, inputs = problem(seed, rows=3, inputs=20)
    hessian = inputs.T @ inputs
    expected = solved_again_for_every_column(weights.numpy(), hessian.numpy(), bits, group)
    np.testing.assert_allclose(gptq(weights, hessian, bits, group), expected, atol=1e-6)


@pytest.mark.parametrize("bits", [3, 4])
def test_gptq_is_rounding_to_nearest_where_inputs_are_independent(bits):
    weights, _ = problem(0)
    hessian = torch.eye(weights.shape[1], dtype=torch.float64)
    torch.testing.assert_close(gptq(weights, hessian, bits, 16), round_to_nearest(weights, bits, 16))


@pytest.mark.parametrize("bits", [3, 4])
@pytest.mark.parametrize("seed", range(5))
def test_gptq_changes_outputs_less_than_rounding_to_nearest(seed, bits):
    weights, inputs = problem(seed)
    made = gptq(weights, inputs.T @ inputs, bits, 16), round_to_nearest(weights, bits, 16)
    ours, nearest = (((rounded - weights) @ inputs.T).square().sum() for rounded in made)
    assert ours < 0.8 * nearest


@given(seed=st.integers(0, 2**32), bits=st.sampled_from([2, 3, 4]), scale=st.sampled_from([1e-6, 1.0, 1e6]))
def test_every_group_lies_on_a_grid_of_its_own(seed, bits, scale):
    weights, inputs = problem(seed, rows=3, inputs=20)
    weights *= scale
    for made in (gptq(weights, inputs.T @ inputs, bits, 8), round_to_nearest(weights, bits, 8)):
        for part in made.split(8, 1):
            assert all(is_on_a_grid(row, bits) for row in part.numpy())


@pytest.fixture
def model():
    torch.manual_seed(0)
    return GPT(50, layers=2, width=32, heads=2, hidden=64)


@pytest.mark.parametrize("given_a_set", [True, False])
def test_quantize_puts_linear_layers_on_grids_and_leaves_the_rest(model, given_a_set):
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    ids = torch.randint(50, (4, 16)) if given_a_set else None
    quantize(model, 3, 32, ids)
    for name, weight in model.named_parameters():
        linear = name.split(".")[-2] in {"qkv", "out", "gate_up", "down"}
        assert torch.equal(weight, before[name]) != linear
        if linear:
            assert all(is_on_a_grid(row, 3) for part in weight.detach().split(32, 1) for row in part.numpy())


def test_a_model_sees_only_what_came_before(model):
    ids = torch.randint(50, (1, 12))
    other = ids.clone()
    other[0, 8] = (other[0, 8] + 1) % 50
    same = torch.isclose(model(ids), model(other), atol=1e-6).all(-1)[0]
    assert same[:8].all()
    assert not same[8:].any()


def test_perplexity_of_a_model_that_knows_nothing_is_the_number_of_ids(model):
    torch.nn.init.zeros_(model.head.weight)
    assert perplexity(model, torch.randint(50, (5, 9)), batch=2) == pytest.approx(50)
