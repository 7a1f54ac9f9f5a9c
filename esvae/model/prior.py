"""Where the generator's firing rates come from: noise, a linear layer, a sigmoid; or a mixture of such.

The paper's prior is one linear layer ("bottleneck"), trained with the rest. A mixture is fitted to the posterior's
rates after training: each component is a linear layer on normal noise again, so that drawing from it costs the same,
and the decoder is not touched.
"""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import nn

from esvae.arrays import Float
from esvae.config import ModelConfig
from esvae.machine.distributed import draw_rows

__all__ = ["LearnedPrior"]

#: Added to the variances of a component, in units of the squared logit: a few hundred images span no 32 dimensions.
_REGULARIZATION = 0.1
#: How far from the border rates of 0 and 1 are taken, in spikes over the window. Where drawn rates are snapped, that is
#: the middle of what becomes 0 or 1; half a spike is its end, from which every other draw would miss.
_EDGE, _EDGE_SNAPPED = 0.5, 0.25


class LearnedPrior(nn.Module):
    """Rates ``sigmoid(weight[k] @ n + bias[k])``, ``n`` standard normal, ``k`` drawn with probability ``share[k]``.

    Attributes:
        bottleneck: the paper's linear layer, the one component while training.
        weight, bias, share: of the fitted mixture.
    """

    weight: Float[torch.Tensor, "components latents noise"]
    bias: Float[torch.Tensor, "components latents"]
    share: Float[torch.Tensor, " components"]

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        latent, components = config.latent, config.prior.components
        self.mixture, self.steps, self.snap = config.prior.kind == "mixture", config.time_steps, config.prior.snap
        self.bottleneck = nn.Linear(latent, latent)
        if self.mixture:
            self.register_buffer("weight", torch.zeros(components, latent, latent))
            self.register_buffer("bias", torch.zeros(components, latent))
            self.register_buffer("share", torch.full((components,), 1 / components))

    def components(
        self,
    ) -> tuple[
        Float[torch.Tensor, "components latents noise"],
        Float[torch.Tensor, "components latents"],
        Float[torch.Tensor, " components"],
    ]:
        """What the generator draws with: weight, bias and share."""
        if self.mixture:
            return self.weight, self.bias, self.share
        layer = self.bottleneck
        return layer.weight.detach()[None], layer.bias.detach()[None], torch.ones(1)

    def forward(self, count: int, generator: torch.Generator | None = None) -> Float[torch.Tensor, "count latents"]:
        """Rates in (0, 1) of the bottleneck, which the training matches to the posterior's."""
        weight = self.bottleneck.weight
        noise = draw_rows(torch.randn, (count, weight.shape[1]), weight, generator, shared=self.training)
        return torch.sigmoid(self.bottleneck(noise))

    def draw(self, count: int, generator: torch.Generator | None = None) -> Float[torch.Tensor, "count latents"]:
        """Rates in [0, 1] as the generator draws them, of the mixture where there is one."""
        weight, bias, share = self.components()
        chosen = torch.multinomial(share.cpu().double(), count, replacement=True, generator=generator).to(weight.device)
        noise = torch.randn(count, weight.shape[2], generator=generator, dtype=weight.dtype).to(weight.device)
        logits = bias.new_empty(count, weight.shape[1])
        for index in chosen.unique():  # one product a component
            rows = chosen == index
            logits[rows] = noise[rows] @ weight[index].T + bias[index]
        rates = torch.sigmoid(logits)
        return (rates * self.steps).round() / self.steps if self.snap else rates

    def fit(self, rates: Float[torch.Tensor, "images latents"], seed: int) -> None:
        """Fits the mixture to the posterior's rates, by expectation maximization on their logits.

        Counted over T steps a rate is a multiple of 1/T; 0 and 1 are taken as half a spike away from the border, or a
        quarter where drawn rates are snapped.
        """
        from sklearn.exceptions import ConvergenceWarning  # here, as importing it takes half a second
        from sklearn.mixture import GaussianMixture

        edge = (_EDGE_SNAPPED if self.snap else _EDGE) / self.steps
        logits = torch.logit(rates.double().clamp(edge, 1 - edge)).cpu().numpy()
        model = GaussianMixture(len(self.share), reg_covar=_REGULARIZATION, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a hundred iterations are plenty for drawing from it
            model.fit(logits)
        self.weight.copy_(torch.from_numpy(np.linalg.cholesky(model.covariances_)))
        self.bias.copy_(torch.from_numpy(model.means_))
        self.share.copy_(torch.from_numpy(model.weights_))
