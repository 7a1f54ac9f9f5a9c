"""Whether a network file was made of a run's weights."""

from __future__ import annotations

from esvae.errors import DataError
from esvae.run import Run
from export.ir import Network

__all__ = ["check_belongs"]


def check_belongs(run: Run, network: Network, *, file: str = "the file", force: bool = False) -> bool:
    """Whether the file says that it was made from the run's weights.

    Raises:
        DataError: it says otherwise, or nothing, and ``force`` is not set; or the two do not fit together at all
            (window, latent neurons, picture), which no force helps.
    """
    config = run.config
    size = config.data.image_size
    if network.prior is None or network.readout is None:
        raise DataError(f"{file} is no generator: it has no {'prior' if network.prior is None else 'readout'}")
    for what, wanted, got in (
        ("steps", config.model.time_steps, network.image_steps),
        ("latent neurons", config.model.latent, network.latents),
        ("pictures", (config.data.image_channels, size, size), network.readout.image_shape),
    ):
        if wanted != got:
            raise DataError(f"{file} does not fit the run: {what} {got}, the run has {wanted}; --force does not help")
    made_from = network.provenance.get("weights_sha256")
    if made_from == run.weights_hash and made_from:
        return True
    if force:
        return False
    says = "does not say what it was made from" if not made_from else f"was made from weights {made_from[:12]}"
    raise DataError(
        f"{file} {says}, the run has weights {run.weights_hash[:12]}; name the run that it was exported from, "
        "export again, or compare them all the same with --force"
    )
