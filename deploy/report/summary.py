"""The four figures at the top of the page, chosen from the report's content."""

from __future__ import annotations

from typing import Any

__all__ = ["HEADLINE_PROFILES", "summary"]

#: Whose energy is shown at the top: the first of these that was estimated, by the chip that was fitted.
HEADLINE_PROFILES = {"loihi2": ("loihi2_anchored",), "loihi1": ("loihi1_sanafe2025", "loihi1_davies2018")}


def summary(content: dict[str, Any]) -> dict[str, Any]:
    """Verification, images, energy and fit in a few figures each; takes and gives plain objects."""
    checked, fit = content["verification"], content["fit"]
    equal = [row["backend"] for row in checked["backends"] if row["verdict"] == "equal"]
    quality = content["comparison"]["quality"]
    estimate = _headline(content["energy"]["estimates"], fit["chip"]["name"])
    return {
        "verification": {
            "equal": checked["equal"],
            "backends": equal,
            "differing": [row["backend"] for row in checked["backends"] if row["verdict"] == "differs"],
            "not_run": [row["backend"] for row in checked["backends"] if row["verdict"] == "not run"],
            "integers": checked["compared"]["integers"] if checked["compared"] else 0,
        },
        "images": {
            "count": quality["images"],
            "mse": quality["mse"]["mean"],
            "psnr": None if quality["psnr"] is None else quality["psnr"]["mean"],
            "ssim": quality["ssim"]["mean"],
            "identical": quality["identical"],
        },
        "energy": None
        if estimate is None
        else {
            "profile": estimate["profile"],
            "label": estimate["label"],
            "basis": estimate["basis"],
            "energy": estimate["energy"],
            "image_time": estimate["interval"],
        },
        "fit": {key: fit[key] for key in ("fits", "cores", "chips", "binding")}
        | {"chip": fit["chip"]["title"], "usable_cores": fit["chip"]["usable_cores"]},
    }


def _headline(estimates: list[dict[str, Any]], chip: str) -> dict[str, Any] | None:
    by_name = {one["profile"]: one for one in estimates}
    names = [name for name in HEADLINE_PROFILES.get(chip, ()) if name in by_name]
    return by_name[names[0]] if names else next(iter(estimates), None)
