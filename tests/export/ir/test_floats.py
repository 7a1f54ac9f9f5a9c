"""A float network that cannot be exported says so when it is made: which layer, what was expected, and what it got."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from esvae.errors import DataError, EsvaeError, HardwareRangeError, NetFileError
from export.ir import Conv, ConvTranspose, Dense, Flatten, FloatLif, ImageReadout, Lif, Prior, RecurrentDense
from export.ir.floats import FloatLayer, FloatNetwork, Norm

LIF, SILENT = FloatLif(0.25, 0.2), FloatLif(0.8, math.inf)


def ones(*shape: int) -> np.ndarray:
    return np.ones(shape)


def conv(neuron: Any = LIF, weight: np.ndarray | None = None, bias: np.ndarray | None = None) -> FloatLayer:
    return FloatLayer(Conv(ones(3, 2, 2, 2) if weight is None else weight, bias, neuron))


def network(*layers: FloatLayer | Flatten, shape: tuple[int, ...] = (2, 4, 4), **more: Any) -> FloatNetwork:
    return FloatNetwork(shape, layers, 4, **more)


def generator(**changed: Any) -> FloatNetwork:
    """Two latents to a picture of one channel, 2x2, with what is to be changed."""
    layer = FloatLayer(Conv(ones(1, 2, 2, 2), None, SILENT, padding=(1, 1)))
    prior = Prior(*(ones(*shape).astype("f4") for shape in ((1, 2, 3), (1, 2), (1,))))
    given = {"input_shape": (2, 1, 1), "layers": (layer,), "time_steps": 4, "prior": prior}
    return FloatNetwork(**{**given, "readout": ImageReadout(1.0, (1, 2, 2)), **changed})


WRONG: dict[str, tuple[Any, type[EsvaeError], str]] = {
    "input shape": (
        lambda: network(conv(), shape=(5, 4, 4)),
        NetFileError,
        r"layer 1 \(conv\): conv takes \(2, H",
    ),
    "no map": (lambda: network(conv(), shape=(2, 4)), NetFileError, r"input shape \(2, 4\): expected \(features,\) or"),
    "no layer": (lambda: network(), NetFileError, "no layer with neurons"),
    "window": (lambda: replace(network(conv()), time_steps=0), NetFileError, "time_steps 0: expected 1 to"),
    "behind a flatten layer": (
        lambda: network(conv(), Flatten(), FloatLayer(Dense(ones(2, 28), None, LIF))),
        NetFileError,
        r"layer 3 \(dense\): dense takes \(28,\) inputs, got \(27,\)",
    ),
    "without a flatten layer": (
        lambda: network(conv(), FloatLayer(Dense(ones(2, 27), None, LIF))),
        NetFileError,
        r"layer 2 \(dense\): dense takes .*put a flatten layer before it",
    ),
    "groups": (
        lambda: network(FloatLayer(ConvTranspose(ones(2, 3, 2, 2), None, LIF, groups=3))),
        NetFileError,
        r"layer 1 \(convT\): convT has 2 input channels, not a multiple of 3 groups",
    ),
    "norm": (
        lambda: network(replace(conv(), norm=Norm(ones(2), ones(3)))),
        NetFileError,
        r"layer 1 \(conv\): norm's scale has shape \(2,\), expected \(3,\)",
    ),
    "bias": (
        lambda: network(conv(bias=ones(4))),
        NetFileError,
        r"layer 1 \(conv\): bias has shape \(4,\), exp",
    ),
    "integer neuron": (
        lambda: network(conv(Lif(1, 2, 3))),
        NetFileError,
        r"layer 1 \(conv\): neuron is Lif.*float",
    ),
    "keep": (lambda: network(conv(FloatLif(1.25, 0.2))), NetFileError, r"layer 1 \(conv\): keep 1.25 .*from 0 to 1"),
    "current": (lambda: network(conv(FloatLif(1, 0.2, math.nan))), NetFileError, "current_keep nan .*from 0 to 1"),
    "threshold": (lambda: network(conv(FloatLif(1, -0.5))), NetFileError, "threshold -0.5 of its neurons, expected 0"),
    "nan": (
        lambda: network(conv(weight=np.full((3, 2, 2, 2), np.nan))),
        HardwareRangeError,
        r"layer 1 \(conv\): weight is not finite; train again with a lower learning rate",
    ),
    "infinite norm": (
        lambda: network(replace(conv(), norm=Norm(ones(3) * np.inf, ones(3)))),
        HardwareRangeError,
        r"layer 1 \(conv\): norm's scale is not finite",
    ),
    "whole numbers": (
        lambda: network(conv(weight=np.ones((3, 2, 2, 2), int))),
        HardwareRangeError,
        r"layer 1 \(conv\): weight is int64, expected floats",
    ),
    "scale": (lambda: network(replace(conv(), scale=0.0)), HardwareRangeError, "scale 0, expected a positive number"),
    "map of a convolution": (
        lambda: network(replace(conv(), map_shape=(3, 3, 3))),
        NetFileError,
        r"layer 1 \(conv\): read as a map \(3, 3, 3\), as only a dense layer that comes first can be",
    ),
    "map": (
        lambda: network(FloatLayer(Dense(ones(8, 2), None, LIF), map_shape=(1, 3, 3)), shape=(2,)),
        NetFileError,
        r"layer 1 \(dense\): map shape \(1, 3, 3\) does not hold its 8 features",
    ),
    "prior": (
        lambda: generator(prior=Prior(ones(1, 3, 3), ones(1, 3), ones(1))),
        NetFileError,
        r"prior weight \(1, 3, 3\), expected \(1, 2, noise\)",
    ),
    "readout": (
        lambda: generator(readout=ImageReadout(1.0, (1, 3, 3))),
        NetFileError,
        r"readout: the last layer \(1, 2, 2\) does not give \(1, 3, 3\) images",
    ),
    "no FloatLayer": (
        lambda: network(conv(), Flatten(), Dense(ones(2, 27), None, LIF)),  # type: ignore[arg-type]
        NetFileError,
        r"^layer 3 \(dense\): a Dense, expected a FloatLayer or Flatten; write FloatLayer\(Dense\(\.\.\.\)\)$",
    ),
    "no layer at all": (
        lambda: network(conv(), None),  # type: ignore[arg-type]
        NetFileError,
        "^layer 2: a NoneType, expected a FloatLayer or Flatten$",
    ),
    "no tuple": (lambda: FloatNetwork((2, 4, 4), conv(), 4), NetFileError, "^layers: a FloatLayer, expected a tuple"),  # type: ignore[arg-type]
    "no synapse": (
        lambda: network(FloatLayer(Flatten())),  # type: ignore[arg-type]
        NetFileError,
        r"^layer 1 \(flatten\): its synapse is a Flatten, expected one of Dense, ",
    ),
    "list as weight": (
        lambda: network(FloatLayer(Dense([[1.0, 2.0]], None, LIF)), shape=(2,)),  # type: ignore[arg-type]
        NetFileError,
        r"^layer 1 \(dense\): weight is a list, expected a numpy array; np\.asarray makes one$",
    ),
    "tensor as weight": (
        lambda: network(conv(weight=torch.ones(3, 2, 2, 2))),  # type: ignore[arg-type]
        NetFileError,
        r"^layer 1 \(conv\): weight is a Tensor, expected a numpy array",
    ),
    "list as bias": (
        lambda: network(conv(bias=[1.0, 2.0, 3.0])),  # type: ignore[arg-type]
        NetFileError,
        r"^layer 1 \(conv\): bias is a list, expected a numpy array",
    ),
    "list as delay": (
        lambda: network(FloatLayer(Dense(ones(1, 2), None, LIF, [[1, 2]])), shape=(2,)),  # type: ignore[arg-type]
        NetFileError,
        r"^layer 1 \(dense\): delay is a list, expected a numpy array",
    ),
    "list as recurrent weight": (
        lambda: network(FloatLayer(RecurrentDense(ones(1, 2), [[1]], None, LIF)), shape=(2,)),  # type: ignore[arg-type]
        NetFileError,
        r"^layer 1 \(dense_rec\): recurrent weight is a list, expected a numpy array",
    ),
    "list in a norm": (
        lambda: network(replace(conv(), norm=Norm([1.0] * 3, ones(3)))),  # type: ignore[arg-type]
        NetFileError,
        r"^layer 1 \(conv\): norm's scale is a list, expected a numpy array",
    ),
    "no norm": (
        lambda: network(replace(conv(), norm=3)),
        NetFileError,
        r"^layer 1 \(conv\): norm is a int, expected a",
    ),
    "stride": (
        lambda: network(FloatLayer(Conv(ones(3, 2, 2, 2), None, LIF, stride=2))),  # type: ignore[arg-type]
        NetFileError,
        r"^layer 1 \(conv\): conv: stride 2, expected a pair of whole numbers \(y, x\)$",
    ),
    "keep of no number": (
        lambda: network(conv(FloatLif(ones(3), 0.2))),  # type: ignore[arg-type]
        NetFileError,
        r"^layer 1 \(conv\): keep array\(\[1\., 1\., 1\.\]\), expected a number$",
    ),
    "size of no number": (lambda: network(conv(), shape="ab"), DataError, "^input_shape 'ab': expected"),  # type: ignore[arg-type]
    "no prior": (lambda: generator(prior=3), NetFileError, "^prior: a value of type int, expected Prior$"),
    "readout that fires": (
        lambda: generator(layers=(FloatLayer(Conv(ones(1, 2, 2, 2), None, LIF, padding=(1, 1))),)),
        NetFileError,
        r"layer 1 \(conv\): the readout's neurons fire above 0.2, expected an infinite threshold",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_said_when_it_is_made(name: str) -> None:
    make, kind, text = WRONG[name]
    with pytest.raises(kind, match=text):
        make()


def test_what_fits_is_taken() -> None:
    assert generator().labels == ("layer 1 (conv)",)
    dense = FloatLayer(Dense(ones(8, 2), ones(8), LIF), Norm(ones(8), ones(8)), (2, 2, 2))
    taken = network(dense, conv(), Flatten(), FloatLayer(Dense(ones(1, 3), None, LIF)), shape=(2,))
    assert taken.labels == ("layer 1 (dense)", "layer 2 (conv)", "layer 4 (dense)")
