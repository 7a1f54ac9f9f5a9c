"""How alike two pictures are: MSE, PSNR, SSIM, image by image; pixels are in [-1, 1]."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from deploy.compare.types import ImageQuality, ImageSpread
from esvae.arrays import Float64, Integer, Real
from esvae.metrics.uncertainty import mean_estimate

__all__ = ["image_mse", "image_psnr", "image_ssim", "quality_of", "spread_of"]

_RANGE = 2.0  # from -1 to 1
#: Wang, Bovik, Sheikh and Simoncelli (IEEE Trans. Image Processing, 2004): a Gaussian window of 11 pixels, sigma 1.5,
#: and the two constants that keep the quotient from a division by nothing.
_WINDOW, _SIGMA = 11, 1.5
_K1, _K2 = 0.01, 0.03


def image_mse(
    left: Real[np.ndarray, "images channels height width"], right: Real[np.ndarray, "images channels height width"]
) -> Float64[np.ndarray, " images"]:
    """Mean squared difference of the pixels: float64 ``(N,)`` of ``(N, C, H, W)`` twice."""
    gap = left.astype(np.float64) - right.astype(np.float64)
    return np.asarray(np.square(gap).reshape(len(gap), -1).mean(1))


def image_psnr(mse: Real[np.ndarray, " images"]) -> Float64[np.ndarray, " images"]:
    """``10 log10(4 / mse)`` in dB, infinite where the images are identical."""
    with np.errstate(divide="ignore"):
        return np.asarray(10 * np.log10(_RANGE**2 / np.asarray(mse, np.float64)))


def image_ssim(
    left: Real[np.ndarray, "images channels height width"], right: Real[np.ndarray, "images channels height width"]
) -> Float64[np.ndarray, " images"]:
    """Structural similarity, float64 ``(N,)``: its mean over channels and over the windows that lie in the image.

    Images of fewer than 11 pixels take the largest odd window that fits. torchmetrics has the same index window by
    window, yet its mean takes in windows over borders that it mirrors, which its authors' own does not: on 32x32
    pixels that is 0.03 of it. It also takes five times as long, as its window is not separated into rows and columns.
    """
    x, y = (torch.from_numpy(np.ascontiguousarray(images, np.float64)) for images in (left, right))
    size = min(_WINDOW, *(side - 1 + side % 2 for side in x.shape[2:]))
    at = torch.arange(size, dtype=torch.float64) - size // 2
    window = torch.exp(-(at**2) / (2 * _SIGMA**2))
    window /= window.sum()

    def blurred(maps: torch.Tensor) -> torch.Tensor:
        rows = functional.conv2d(maps.flatten(0, 1)[:, None], window[None, None, :, None])
        return functional.conv2d(rows, window[None, None, None])

    mean_x, mean_y = blurred(x), blurred(y)
    var_x = (blurred(x * x) - mean_x**2).clamp_min(0)
    var_y = (blurred(y * y) - mean_y**2).clamp_min(0)
    both = blurred(x * y) - mean_x * mean_y
    c1, c2 = (_K1 * _RANGE) ** 2, (_K2 * _RANGE) ** 2
    light = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    found = light * (2 * both + c2) / (var_x + var_y + c2)
    return found.unflatten(0, x.shape[:2]).flatten(1).mean(1).numpy()  # type: ignore[no-any-return]


def spread_of(
    values: Real[np.ndarray, " images"], *, numbers: Integer[np.ndarray, " images"] | None = None, low_is_worst: bool
) -> ImageSpread:
    """A figure ``(N,)`` over images, N at least 2; ``numbers`` are those of the images."""
    at = int(values.argmin() if low_is_worst else values.argmax())
    low, median, high = (float(x) for x in np.quantile(values, [0.05, 0.5, 0.95]))
    image = at if numbers is None else int(numbers[at])
    return ImageSpread(mean_estimate(values), low, median, high, float(values[at]), image)


def quality_of(mse: Real[np.ndarray, " images"], ssim: Real[np.ndarray, " images"]) -> ImageQuality:
    """The summary of both figures ``(N,)`` of images 0 to N - 1."""
    psnr = image_psnr(mse)
    apart = np.flatnonzero(mse > 0)
    enough = len(apart) >= 2  # which an interval needs
    return ImageQuality(
        images=len(mse),
        mse=spread_of(mse, low_is_worst=False),
        psnr=spread_of(psnr[apart], numbers=apart, low_is_worst=True) if enough else None,
        ssim=spread_of(ssim, low_is_worst=True),
        identical=len(mse) - len(apart),
        per_image={
            "mse": tuple(_short(x) for x in mse),
            "psnr": tuple(_short(x) if np.isfinite(x) else None for x in psnr),
            "ssim": tuple(_short(x) for x in ssim),
        },
    )


def _short(value: float) -> float:
    """Six digits, which the file of many thousand of them is the shorter for."""
    return float(f"{value:.6g}")
