"""What the paper reports of its own models (Zhan et al., arXiv 2310.14839, table 1): 5,000 generated images."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["PAPER_FIGURES"]

#: By data set and metric. FAD is of the published autoencoders, with the ``published`` protocol.
PAPER_FIGURES: Mapping[str, Mapping[str, float]] = {
    "mnist": {"mse": 0.013, "inception_score": 5.612, "fid": 117.8, "fad": 10.99},
    "fashion_mnist": {"mse": 0.019, "inception_score": 6.227, "fid": 125.3, "fad": 11.13},
    "cifar10": {"mse": 0.045, "inception_score": 3.758, "fid": 127.0, "fad": 14.74},
    "celeba": {"mse": 0.034, "inception_score": 3.868, "fid": 85.33, "fad": 51.93},
}
