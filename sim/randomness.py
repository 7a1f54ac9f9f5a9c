"""Is it random? A battery for any source of latent spikes that says with what probability each spike should be.

Every check gives a p-value: how often a perfect source would look at least as far off. A check fails where that is
below ``ALARM``, so that a perfect source fails it once in a million times. Sums of squares of nearly independent,
nearly standard normal deviates are taken as chi-square distributed.

Spikes are judged by their standardized residuals ``(s - P) / sqrt(P (1 - P))``, P the probability that they were meant
to have, so that rates that differ between images do not look like correlations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from esvae.arrays import Float64, Real, UInt8

__all__ = ["ALARM", "RandomnessCheck", "bit_checks", "exact_check", "spike_checks"]

#: False-alarm rate of each check.
ALARM = 1e-6
#: Time lags, in steps, over which bits are compared.
LAGS = 16
_BYTE = 8


@dataclass(frozen=True)
class RandomnessCheck:
    """One question.

    Attributes:
        name: what is asked.
        value: the figure, ``what`` says of what.
        what: unit or meaning of the figure.
        p: probability that a perfect source gives a figure as bad; 1 or 0 where the answer is exact.
    """

    name: str
    value: float
    what: str
    p: float

    @property
    def holds(self) -> bool:
        """Whether there is no alarm."""
        return self.p >= ALARM


def exact_check(name: str, violations: int, of: int) -> RandomnessCheck:
    """An identity that must hold everywhere."""
    return RandomnessCheck(name, violations, f"violations of {of:,}", float(violations == 0))


def bit_checks(bits: UInt8[np.ndarray, "steps lanes"]) -> list[RandomnessCheck]:
    """Bytes, correlations in time, and correlations between lanes, of raw bits."""
    steps, lanes = bits.shape
    whole = lanes - lanes % _BYTE
    values = np.packbits(bits[:, :whole].reshape(steps, -1, _BYTE), axis=2, bitorder="little")
    counts = np.bincount(values.ravel(), minlength=1 << _BYTE)
    expected = values.size / (1 << _BYTE)
    signs = 2 * bits.astype(np.float32) - 1
    lagged = [np.einsum("tl,tl->l", signs[lag:], signs[:-lag]) / np.sqrt(steps - lag) for lag in range(1, LAGS + 1)]
    between = (signs.T @ signs)[np.triu_indices(lanes, 1)] / np.sqrt(steps)
    return [
        _squares("bits: ones", signs.sum(axis=0, dtype=np.float64) / np.sqrt(steps)),
        _chi_square("bits: bytes", float(((counts - expected) ** 2 / expected).sum()), (1 << _BYTE) - 1),
        _squares(f"bits: one lane over {LAGS} lags", np.concatenate(lagged)),
        _squares("bits: two lanes at a step", between),
    ]


def spike_checks(
    spikes: UInt8[np.ndarray, "images steps latents"], probability: Float64[np.ndarray, "images latents"]
) -> list[RandomnessCheck]:
    """Rates, and correlations in time, between latents and between neighbouring images.

    Args:
        spikes: 0 and 1, images in their order.
        probability: of a spike, strictly between 0 and 1.
    """
    images, steps, latents = spikes.shape
    deviation = np.sqrt(probability * (1 - probability))
    residual = ((spikes - probability[:, None]) / deviation[:, None]).astype(np.float32)
    flat = residual.reshape(-1, latents)
    # Of the image as a whole: what is left of its latents' counts.
    counts = residual.sum(axis=1, dtype=np.float64) / np.sqrt(steps)
    inside = [
        np.einsum("ntl,ntl->l", residual[:, lag:], residual[:, :-lag]) / np.sqrt(images * (steps - lag))
        for lag in range(1, steps)
    ]
    both = (flat.T @ flat)[np.triu_indices(latents, 1)] / np.sqrt(len(flat))
    after = counts[1:].T @ counts[:-1] / np.sqrt(images - 1)
    found = [
        _squares("spikes: rate of each latent", flat.sum(axis=0, dtype=np.float64) / np.sqrt(len(flat))),
        _squares("spikes: rate by probability", _by_probability(spikes, probability)),
        _squares("spikes: one latent within a window", np.concatenate(inside)),
        _squares("spikes: two latents at a step", both),
        _squares("images: spikes of one and the next", after.ravel()),
    ]
    varying = probability[:, np.ptp(probability, axis=0) > 0]
    if varying.size:  # rates that are the same for all images tell nothing of each other
        rates = (varying - varying.mean(axis=0)) / varying.std(axis=0)
        told = rates[1:].T @ counts[:-1] / np.sqrt(images - 1)
        drawn = rates[1:].T @ rates[:-1] / np.sqrt(images - 1)
        found.append(_squares("images: spikes of one, rates of the next", told.ravel()))
        found.append(_squares("images: rates of one and the next", drawn.ravel()))
    return found


def _by_probability(spikes: np.ndarray, probability: np.ndarray, bins: int = 20) -> np.ndarray:
    """Deviates of the number of spikes where they are rare, less rare, and so on: the law itself, not its mean."""
    place = np.minimum((probability * bins).astype(np.int64), bins - 1).ravel()
    steps = spikes.shape[1]
    meant, spread, found = (
        np.bincount(place, values.ravel(), bins)
        for values in (
            steps * probability,
            steps * probability * (1 - probability),
            spikes.sum(axis=1, dtype=np.int64),
        )
    )
    filled = spread > 0
    deviates: np.ndarray = (found - meant)[filled] / np.sqrt(spread[filled])
    return deviates


def _squares(name: str, deviates: Real[np.ndarray, " n"]) -> RandomnessCheck:
    """Root mean square of deviates that should be standard normal, and whether it is larger or smaller than chance."""
    squares = float(np.square(deviates, dtype=np.float64).sum())
    upper, lower = stats.chi2.sf(squares, deviates.size), stats.chi2.cdf(squares, deviates.size)
    p = min(1.0, 2 * min(float(upper), float(lower)))
    noun = "deviate" if deviates.size == 1 else "deviates"
    return RandomnessCheck(name, float(np.sqrt(squares / deviates.size)), f"rms of {deviates.size:,} {noun}", p)


def _chi_square(name: str, value: float, degrees: int) -> RandomnessCheck:
    p = min(1.0, 2 * min(float(stats.chi2.sf(value, degrees)), float(stats.chi2.cdf(value, degrees))))
    return RandomnessCheck(name, value, f"chi-square, {degrees} degrees of freedom", p)
