"""The Poisson sampler as a random source, over 10^8 draws, and how often two latent neurons share a stretch of numbers.

``python -m benchmarks.sampler_statistics``: each test prints its p-value, the chance that a perfect source looks at
least as odd; of many tests some are below 0.01 by chance, none may be below 10^-6.

All shift registers run through the one cycle of 2^32 - 1 states. Two neurons of an image whose first states lie fewer
than ``steps * bits`` apart on it share states, one some bits behind the other; they share *numbers*, one some steps
behind the other, where that distance is a multiple of the bits of a step. How often is computed, and counted.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import numba
import numpy as np
from scipy import stats

from sim.sampler import LFSR_TAPS, initial_states

BITS = 8
PERIOD = (1 << 32) - 1
CHUNK = 2000


@numba.njit(cache=True, parallel=True)
def numbers(states: Any, steps: int, bits: int, taps: Any) -> Any:
    """What is compared with the rate codes: uint8 ``(images, neurons, steps)``."""
    images, neurons = states.shape
    found = np.empty((images, neurons, steps), np.uint8)
    for n in numba.prange(images):
        for i in range(neurons):
            state = states[n, i]
            for t in range(steps):
                for _ in range(bits):
                    state = (state >> np.uint32(1)) ^ ((state & np.uint32(1)) * taps)
                found[n, i, t] = state & np.uint32(255)
    return found


@numba.njit(cache=True)
def shared_stretches(states: Any, bits: int, taps: Any, found: Any) -> None:
    """Adds, for each distance on the cycle, how many pairs of an image's neurons are so far apart: ``(window,)``."""
    window = len(found)
    walked = np.empty((states.shape[1], window), np.uint32)
    for n in range(states.shape[0]):
        for i in range(states.shape[1]):
            state = states[n, i]
            for k in range(window):
                walked[i, k] = state
                state = (state >> np.uint32(1)) ^ ((state & np.uint32(1)) * taps)
        order = np.argsort(walked[:, 0])
        first = walked[:, 0][order]
        for i in range(walked.shape[0]):
            places = np.searchsorted(first, walked[i])
            for k in range(window):
                at = places[k]
                if at < len(first) and first[at] == walked[i, k] and order[at] != i:
                    found[k] += 1


def measure(images: int, neurons: int, steps: int, seed: int) -> dict[str, Any]:
    """All statistics of one run."""
    singles, pairs = np.zeros(256, np.int64), np.zeros(1 << 16, np.int64)
    lags, cross = np.zeros(steps - 1), np.zeros((neurons, neurons))
    neighbours, stretches = 0.0, np.zeros(steps * BITS, np.int64)
    last = None
    for start in range(0, images, CHUNK):
        states = initial_states(seed, np.arange(start, min(start + CHUNK, images)), neurons)
        x = numbers(states, steps, BITS, np.uint32(LFSR_TAPS))
        shared_stretches(states, BITS, np.uint32(LFSR_TAPS), stretches)
        singles += np.bincount(x.reshape(-1), minlength=256)
        both = x[..., :-1].astype(np.uint16) << 8 | x[..., 1:]
        pairs += np.bincount(both.reshape(-1), minlength=1 << 16)
        centred = (x - np.float32(127.5)) / np.float32(math.sqrt((256**2 - 1) / 12))
        for lag in range(1, steps):
            lags[lag - 1] += float((centred[..., lag:] * centred[..., :-lag]).sum(dtype=np.float64))
        rows = centred.transpose(0, 2, 1).reshape(-1, neurons)
        cross += rows.T @ rows
        ahead = centred if last is None else np.concatenate([last, centred])
        neighbours += float((ahead[1:] * ahead[:-1]).sum(dtype=np.float64))
        last = centred[-1:]
    draws = images * neurons * steps
    z_lags = lags / np.sqrt(images * neurons * (steps - np.arange(1, steps)))
    z_cross = cross[np.triu_indices(neurons, 1)] / math.sqrt(images * steps)
    z_next = neighbours / math.sqrt((images - 1) * neurons * steps)
    return {
        "draws": draws,
        "p-values": {
            "numbers, chi-square of 256": float(stats.chisquare(singles).pvalue),
            "numbers of two steps, chi-square of 65,536": float(stats.chisquare(pairs).pvalue),
            f"correlation over 1 to {steps - 1} steps, the largest": _of_largest(z_lags),
            f"correlation of {len(z_cross):,} pairs of neurons, the largest": _of_largest(z_cross),
            "correlation of pairs of neurons, sum of squares": float(stats.chi2.sf((z_cross**2).sum(), len(z_cross))),
            "correlation of neighbouring images": float(2 * stats.norm.sf(abs(z_next))),
        },
        "shared": _shared(stretches, images, neurons, steps),
    }


def _of_largest(z: np.ndarray) -> float:
    """Chance that the largest of so many normal numbers is at least so large."""
    return float(-np.expm1(len(z) * np.log1p(-2 * stats.norm.sf(np.abs(z).max()))))


def _shared(stretches: np.ndarray, images: int, neurons: int, steps: int) -> dict[str, float]:
    """Pairs of neurons of an image that share a stretch, expected and counted."""
    pairs = images * neurons * (neurons - 1) / 2
    window = steps * BITS
    of_numbers = stretches[BITS::BITS]
    return {
        "pairs that share states, expected": pairs * 2 * (window - 1) / PERIOD,
        "pairs that share states, counted": int(stretches[1:].sum()),
        "pairs with one first state, expected": pairs / PERIOD,
        "pairs with one first state, counted": int(stretches[0]) // 2,
        "pairs that share numbers, expected": pairs * 2 * (steps - 1) / PERIOD,
        "pairs that share numbers, counted": int(of_numbers.sum()),
        "images in which two neurons share numbers, expected of one": -math.expm1(
            neurons * (neurons - 1) / 2 * math.log1p(-2 * (steps - 1) / PERIOD)
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--neurons", type=int, default=128)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    given = parser.parse_args()
    started = time.perf_counter()
    result = measure(given.images, given.neurons, given.steps, given.seed)
    result = {
        **{name: getattr(given, name) for name in ("images", "neurons", "steps", "seed")},
        **result,
        "seconds": round(time.perf_counter() - started, 1),
    }
    given.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
