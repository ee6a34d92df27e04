"""GPTQ (Frantar et al. 2022, arXiv:2210.17323): round the weights of a layer one input at a time, and let those not
rounded yet make up for the error on the inputs of a calibration set.

Weights come back as float32 on their grid, as a kernel that unpacks them would see them: 2**bits values, evenly spaced
from a group's least weight to its greatest, a group being `group` neighbouring weights of a row.
"""

import torch
from small_gpt import GPT
from torch import Tensor, nn

DAMPING = 0.01
"""Added to the Hessian's diagonal, as a share of its mean."""


def grid(weights: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Step and zero of float32[rows, group]: float32[rows] each. Zero itself is on the grid."""
    low, high = weights.amin(1).clamp(max=0), weights.amax(1).clamp(min=0)
    step = ((high - low) / (2**bits - 1)).clamp(min=1e-12)
    return step, (-low / step).round()


def to_grid(weights: Tensor, step: Tensor, zero: Tensor, bits: int) -> Tensor:
    return step * ((weights / step + zero).round().clamp(0, 2**bits - 1) - zero)


def round_to_nearest(weights: Tensor, bits: int, group: int) -> Tensor:
    """float32[rows, inputs], each weight at the nearest value of its group's grid."""
    parts = weights.split(group, 1)
    return torch.cat([to_grid(part.T, *grid(part, bits), bits).T for part in parts], 1)


def gptq(weights: Tensor, hessian: Tensor, bits: int, group: int) -> Tensor:
    """Weights [rows, inputs] on the grid, so that the layer's outputs change little on inputs x of which `hessian`,
    float64[inputs, inputs], is the sum of x xᵀ. A group's grid is laid when its first column is reached."""
    weights = weights.clone()
    damped = hessian + DAMPING * hessian.diagonal().mean() * torch.eye(len(hessian), dtype=hessian.dtype)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped))
    # Row i holds how the columns after i make up for the error in column i once those before it are fixed.
    make_up = torch.linalg.cholesky(inverse, upper=True).to(weights.dtype)
    for i in range(weights.shape[1]):
        if i % group == 0:
            step, zero = grid(weights[:, i : i + group], bits)
        rounded = to_grid(weights[:, i], step, zero, bits)
        error = (weights[:, i] - rounded) / make_up[i, i]
        weights[:, i + 1 :] -= torch.outer(error, make_up[i, i + 1 :])
        weights[:, i] = rounded
    return weights


@torch.no_grad()
def quantize(model: GPT, bits: int, group: int, ids: Tensor | None = None) -> None:
    """Quantize all linear layers of the blocks, not the embedding and the head, in place.

    ids  calibration set, int64[sequences, length]: by GPTQ, each layer on the inputs that it gets from the quantized
         layers before it; None: to nearest, without data
    """
    if ids is None:
        for block in model.blocks:
            for linear in block.linears():
                linear.weight.copy_(round_to_nearest(linear.weight, bits, group))
        return
    x, rotation = model.embed(ids), model.rotation(ids.shape[1])
    for block in model.blocks:
        for linear in block.linears():
            inputs = inputs_of(linear, lambda block=block, x=x: block(x, rotation)).flatten(0, 1).double()
            linear.weight.copy_(gptq(linear.weight, inputs.T @ inputs, bits, group))
        x = block(x, rotation)


def inputs_of(linear: nn.Linear, forward) -> Tensor:
    """What goes into a layer when `forward` is called."""
    seen = []
    with linear.register_forward_pre_hook(lambda _, given: seen.append(given[0])):
        forward()
    return seen[0]
