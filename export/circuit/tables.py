"""The prior in whole numbers: a mixture of normal logits as choices, signed sums of held bits, and noise.

The prior draws a component k and rates ``sigmoid(W_k n + m_k)``, n standard normal; a latent neuron fires with that
rate. In integers, in units of which ``unit`` make a logit of 1::

    component   the least k with U < edge_k, U a whole number of held bits
    logits      mean_k + sum over j of factor_kj * e_j      e_j = +-1, held bits
    spike       logits + sum over i of noise_i * e_i > 0    e_i = +-1, fresh at every step

``W_k n`` has the law of ``U S n``, by the singular value decomposition of ``W_k``; the sum of signs is ``U S H e``, H
an orthogonal matrix of equal sizes (Hadamard's), whose rows make sums of so many bits that they are close to normal.
The noise is close to normal too, so that a spike's probability is a probit of the logit, within .01 of the logistic.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from esvae.arrays import Float64, Int64, Integer
from esvae.chip.formats import BIAS, WEIGHT
from esvae.errors import ConfigError, HardwareRangeError
from export.circuit.gates import WEIGHT_STEP
from export.circuit.hadamard import hadamard, next_order, two_sized_rows
from export.circuit.law import SumLaw, logistic_error
from export.circuit.merge import merged_prior
from export.ir import Prior

__all__ = ["CHOICE_BITS", "NOISE_BITS", "PriorTables", "TableOptions", "prior_tables"]

#: Bits of the number that a component is chosen by: shares are rounded to 1/1024.
CHOICE_BITS = 10
#: Fresh bits that are summed at every step, at least.
NOISE_BITS = 64
#: The normal deviation whose distribution function is closest to the logistic's (Camilli, J. Educ. Stat. 19, 1994).
_PROBIT = 1.702
#: The largest even weight of either sign.
_MOST = WEIGHT.max - WEIGHT.max % WEIGHT_STEP


@dataclass(frozen=True)
class TableOptions:
    """What can be chosen.

    Attributes:
        factors: held bits of the logits; None for as many as these have axes. Fewer leave the smallest axes out, more
            come closer to normal.
        shared: one factor for all components, that of their mean covariance, instead of one for each.
        noise_bits: fresh bits to a step, a multiple of 8.
        choice_bits: held bits of the number that a component is chosen by.
        components: how many are left when the nearest were merged; None for as many as the prior has.
    """

    factors: int | None = None
    shared: bool = False
    noise_bits: int = NOISE_BITS
    choice_bits: int = CHOICE_BITS
    components: int | None = None

    def __post_init__(self) -> None:
        if self.components is not None and self.components < 1:
            raise ConfigError(f"{self.components} components: expected at least 1")
        if self.factors is not None and self.factors < 1:
            raise ConfigError(f"{self.factors} factors: expected at least 1")
        if self.noise_bits < 8 or self.noise_bits % 8:
            raise ConfigError(f"{self.noise_bits} noise bits: expected a multiple of 8")
        if not 1 <= self.choice_bits <= CHOICE_BITS:
            raise ConfigError(f"{self.choice_bits} choice bits: expected 1 to {CHOICE_BITS}")


@dataclass(frozen=True, eq=False)
class PriorTables:
    """See the head of this file. What multiplies a sign ``e = 2 b - 1`` of a bit b is half of the bit's weight.

    Attributes:
        edge: ``(components - 1,)``, ascending.
        mean: ``(components, latents)``; all of one latent are odd or all even, so that no sum with noise is 0.
        factor: ``(components or 1, factors, latents)``; 1 where all components share it.
        noise: ``(bits, latents)``; columns are orthogonal.
        choice_bits: of U.
        unit: of drive to a logit of 1.
    """

    edge: Int64[np.ndarray, " edges"]
    mean: Int64[np.ndarray, "components latents"]
    factor: Int64[np.ndarray, "kinds factors latents"]
    noise: Int64[np.ndarray, "bits latents"]
    choice_bits: int
    unit: float

    @property
    def components(self) -> int:
        """Kinds of images."""
        return len(self.mean)

    @property
    def latents(self) -> int:
        """Neurons that fire at the rates."""
        return self.mean.shape[1]

    @property
    def shared(self) -> bool:
        """Whether the held bits mean the same for all components."""
        return len(self.factor) == 1

    @property
    def law(self) -> SumLaw:
        """Of the noise, which is the same for every latent."""
        return SumLaw(self.noise[:, 0])

    def component(self, number: Integer[np.ndarray, "*shape"]) -> Int64[np.ndarray, "*shape"]:
        """The component that U chooses."""
        return np.searchsorted(self.edge, number, side="right")

    def logits(
        self, component: Integer[np.ndarray, " images"], bits: Integer[np.ndarray, "images factors"]
    ) -> Int64[np.ndarray, "images latents"]:
        """In units, for components ``(images,)`` and held bits ``(images, factors)``: ``(images, latents)``."""
        factor = self.factor[np.zeros_like(component) if self.shared else component]
        return self.mean[component] + np.einsum("nj,njl->nl", 2 * bits.astype(np.int64) - 1, factor)


def prior_tables(prior: Prior, options: TableOptions = TableOptions()) -> PriorTables:
    """Rounds a prior to what weights and biases hold, in the finest unit that they allow.

    Raises:
        ConfigError: more components than the choice has numbers.
        HardwareRangeError: logits that fit in no unit.
    """
    if options.components is not None:
        prior = merged_prior(prior, options.components)
    share = prior.share.astype(np.float64)
    edge = np.rint(np.cumsum(share / share.sum())[:-1] * (1 << options.choice_bits)).astype(np.int64)
    if len(share) > 1 << options.choice_bits:
        raise ConfigError(
            f"{len(share)} components: at most {1 << options.choice_bits} with {options.choice_bits} bits"
        )
    mean = prior.bias.astype(np.float64)
    factor = _factors(prior.weight.astype(np.float64), share / share.sum(), options)
    unit = _finest_unit(mean, factor)
    half = next_order(max(options.noise_bits // 2, -(-mean.shape[1] // 2)))
    small, large = _noise_sizes(half, unit)
    noise = two_sized_rows(mean.shape[1], half, small, large).T
    rounded = np.rint(factor * unit).astype(np.int64)
    # A sum with noise has the parity of all that is added; the drive is made odd where the noise is even.
    odd = 1 - (noise.sum(axis=0) + rounded.sum(axis=1)) % 2
    parity = odd if len(rounded) > 1 else np.broadcast_to(odd, mean.shape)
    means = _rounded_to(mean * unit, parity)
    return PriorTables(edge, means, rounded, noise, options.choice_bits, unit)


def _factors(weight: np.ndarray, share: np.ndarray, options: TableOptions) -> Float64[np.ndarray, "kinds bits latents"]:
    """What each sign adds to the logits."""
    if options.shared:
        covariance = np.einsum("k,kij,klj->il", share, weight, weight)
        scale, axes = np.linalg.eigh(covariance)
        weight = (axes * np.sqrt(np.maximum(scale, 0)))[None]
    left, scale, _ = np.linalg.svd(weight, full_matrices=False)
    order = next_order(options.factors or scale.shape[1])
    kept = min(options.factors or order, scale.shape[1])
    # The row of ones goes to the smallest axis: it alone adds up over the signs, and must fit a weight with the mean.
    signs = hadamard(order)[:kept][::-1] / np.sqrt(order)
    factor: np.ndarray = np.einsum("kla,ka,aj->kjl", left[:, :, :kept], scale[:, :kept], signs)
    return factor


def _finest_unit(mean: np.ndarray, factor: np.ndarray) -> float:
    """The largest unit in which all weights fit; whole numbers, so that it can be told."""
    base = mean - factor.sum(axis=1)
    spread = (base.max(axis=0) - base.min(axis=0)).max() / 2
    most = max(float(np.abs(factor).max()) * WEIGHT_STEP, float(spread), 1e-6)
    # Rounding moves a sum by up to half a unit for each term.
    room = _MOST - 2 - (factor.shape[1] + 2) / 2
    unit = min(np.floor(room / most), np.floor((BIAS.max - _MOST) / max(float(np.abs(base).max()), 1e-6)), _MOST / 2)
    if unit < 1:
        raise HardwareRangeError(f"logits of up to {most:.1f} do not fit weights of {_MOST}; train a narrower prior")
    return float(unit)


def _noise_sizes(half: int, unit: float) -> tuple[int, int]:
    """The two sizes whose sums come closest to the logistic."""
    size = _PROBIT * unit / np.sqrt(2 * half)
    low, high = max(1, int(0.5 * size)), max(2, int(1.5 * size) + 1)
    candidates = [
        (small, large)
        for small in range(low, high)
        for large in range(small, high + 1)
        if np.gcd(small, large) == 1 and abs(np.hypot(small, large) / (np.sqrt(2) * size) - 1) < 0.06
    ]

    def error(sizes: tuple[int, int]) -> float:
        return logistic_error(SumLaw(np.repeat(sizes, half)), unit)

    return min(candidates or [(1, 1)], key=error)


def _rounded_to(values: np.ndarray, parity: np.ndarray) -> np.ndarray:
    """The nearest whole numbers of that parity: even where 0, odd where 1."""
    return (2 * np.rint((values - parity) / 2) + parity).astype(np.int64)
