"""A norm is folded by one function, which rounds the same bits of numpy's arrays and of torch's tensors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from esvae.chip.fold import fold


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("biased", [False, True])
def test_numpy_and_torch_round_the_same_bits(groups: int, transposed: bool, biased: bool) -> None:
    rng = np.random.default_rng(groups)
    weight = rng.normal(size=(4, 6 // groups, 3, 2) if transposed else (6, 4 // groups, 3, 2))
    scale, shift, bias = rng.normal(size=(3, 6))
    arrays = fold(weight, bias if biased else None, scale, shift, transposed=transposed, groups=groups)
    given = [torch.from_numpy(values) for values in (weight, bias, scale, shift)]
    tensors = fold(given[0], given[1] if biased else None, *given[2:], transposed=transposed, groups=groups)
    for array, tensor in zip(arrays, tensors, strict=True):
        np.testing.assert_array_equal(array, tensor.numpy())


def test_a_dense_layers_norm_is_by_feature() -> None:
    weight, bias = fold(np.ones((2, 3)), np.array([1.0, 2.0]), np.array([2.0, 3.0]), np.array([0.5, 0.25]))
    assert weight.tolist() == [[2, 2, 2], [3, 3, 3]]
    assert bias.tolist() == [2.5, 6.25]
