"""Convolutions of our own: exact where their factors and sums are, and only while training."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import nn

from esvae.config import config_from_dict, load_config
from esvae.model import ESVAE, event_sums
from esvae.model.activity import recording
from esvae.model.convolve import has_sums, sums_without_bias
from esvae.model.expand import Expand
from esvae.model.layers import set_half
from esvae.model.upsample import Upsample

MODULES = [
    lambda: nn.Conv2d(3, 4, 3, padding=1),
    lambda: nn.Conv2d(1, 8, 3, stride=2, padding=1),
    lambda: nn.Conv2d(4, 4, 3, stride=2, padding=1, dilation=2, groups=2),
    lambda: nn.ConvTranspose2d(4, 6, 4, stride=2, padding=1),
    lambda: Upsample(3, 5),
]


#: Precision, and whether what fires alone is computed wherever that can be.
WAYS = [(torch.bfloat16, False), (torch.bfloat16, True), (torch.float32, False), (torch.float32, True)]
NAMES = ["bfloat16", "bfloat16, events", "float32", "float32, events"]


def whole(*shape: int, most: int = 3) -> torch.Tensor:
    return torch.randint(-most, most + 1, shape).float()


def sums_of(module: nn.Module, x: torch.Tensor, way: tuple[torch.dtype, bool]) -> torch.Tensor:
    kind, events = way
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(event_sums, "_MOST", dict.fromkeys((torch.float32, torch.bfloat16), (math.inf, math.inf)))
        patch.setattr(event_sums, "_has", lambda _: False)
        return sums_without_bias(module, x, kind=kind, events=events)  # type: ignore[arg-type]


@pytest.mark.parametrize("make", MODULES)
@pytest.mark.parametrize("innermost", [True, False])
@pytest.mark.parametrize("shape", [(6, 8), (3, 4), (9, 5)])  # weights' gradients of large maps and of small ones
@pytest.mark.parametrize("way", WAYS, ids=NAMES)
def test_small_whole_numbers_give_what_the_module_gives(
    make: object, shape: tuple[int, int], way: tuple[torch.dtype, bool], *, innermost: bool
) -> None:
    torch.manual_seed(0)
    module = make()  # type: ignore[operator]
    module.weight.data = whole(*module.weight.shape)
    assert has_sums(module)
    spikes = (torch.rand(5, module.in_channels, *shape) < 0.3).float()
    if innermost:
        spikes = spikes.contiguous(memory_format=torch.channels_last)
    found = []
    for sums in (lambda x: sums_of(module, x, way), lambda x: module(x) - module.bias[:, None, None]):
        x = spikes.clone().requires_grad_()
        module.zero_grad()
        out = sums(x)
        torch.manual_seed(1)
        (out * (torch.rand(out.shape) < 0.1)).sum().backward()
        found.append((out.detach(), x.grad, module.weight.grad))
    (ours, ours_x, ours_w), (theirs, theirs_x, theirs_w) = found
    assert (ours.dtype, ours_x.dtype, ours_w.dtype) == (way[0], torch.float32, torch.float32)
    assert torch.equal(ours.float(), theirs.round())  # the bias, added and taken away again, is not exact
    assert torch.equal(ours_x, theirs_x)
    assert torch.equal(ours_w, theirs_w)


@given(data=st.data(), transposed=st.booleans(), way=st.sampled_from(WAYS))
def test_any_geometry(data: st.DataObject, transposed: bool, way: tuple[torch.dtype, bool]) -> None:
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    kernel, stride, dilation, small = (data.draw(pair, label=name) for name in ("kernel", "stride", "dilation", "map"))
    dilation = dilation if data.draw(st.booleans(), label="dilated") else (1, 1)
    border = data.draw(st.integers(0, 2), label="border beyond the kernel")
    padding = tuple(data.draw(st.integers(0, (k - 1) * d // 2 + border)) for k, d in zip(kernel, dilation, strict=True))
    before, after = data.draw(st.sampled_from([(3, 2), (5, 33), (70, 7)]), label="channels")
    if transposed:
        over = tuple(data.draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True))
        module: nn.Module = nn.ConvTranspose2d(before, after, kernel, stride, padding, over, dilation=dilation)
        size = small
        spans = zip(small, kernel, stride, padding, dilation, over, strict=True)
        assume(all((m - 1) * s - 2 * p + d * (k - 1) + o >= 0 for m, k, s, p, d, o in spans))
    else:
        module = nn.Conv2d(before, after, kernel, stride, padding, dilation)
        spans = zip(small, kernel, stride, padding, dilation, strict=True)
        size = tuple(
            (m - 1) * s + d * (k - 1) + 1 - 2 * p + data.draw(st.integers(0, s - 1)) for m, k, s, p, d in spans
        )
        assume(min(size) > 0)
    with torch.no_grad():
        module.weight.copy_(whole(*module.weight.shape, most=1))  # type: ignore[operator,union-attr]
        module.bias.zero_()  # type: ignore[operator,union-attr]
    values = whole(4, before, *size, most=2) * (torch.rand(4, before, *size) < data.draw(st.sampled_from([0, 0.2, 1])))
    found = []
    for sums in (lambda x: sums_of(module, x, way), module):
        x = values.clone().requires_grad_()
        module.zero_grad()
        out = sums(x)
        out.backward((torch.arange(out.numel()) % 3 - 1).view(out.shape).to(out.dtype))
        found.append((out.detach().float(), x.grad, module.weight.grad))
    exact = way[0] == torch.float32 or all(theirs.abs().max() <= 256 for theirs in found[1])  # bfloat16 holds these
    for ours, theirs in zip(*found, strict=True):
        assert ours.shape == theirs.shape
        assert torch.equal(ours, theirs) or (not exact and torch.allclose(ours, theirs, rtol=2**-7))


def test_a_loss_of_its_own_on_the_spikes_gets_its_gradient_in_full() -> None:
    model = ESVAE(load_config("digits")).arrange()
    images = torch.rand(8, 1, 16, 16) * 2 - 1
    for hands_on, kind in ((True, torch.bfloat16), (False, torch.float32)):
        set_half(model.train(), True, hands_on=hands_on)
        with recording(model.encoder) as record:
            model.losses(images)
        assert record.spikes["layers.0"].dtype == kind


def test_others_are_left_alone() -> None:
    assert not has_sums(nn.Linear(2, 3))
    assert not has_sums(Expand(2, 3, 4))
    assert not has_sums(nn.Conv2d(2, 3, 3, padding="same"))
    assert not has_sums(nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"))


@pytest.mark.parametrize("way", WAYS, ids=NAMES)
def test_no_image(way: tuple[torch.dtype, bool]) -> None:
    module = nn.Conv2d(3, 4, 3, padding=1)
    out = sums_of(module, torch.zeros(0, 3, 5, 5, requires_grad=True), way)
    out.sum().backward()
    assert out.shape == (0, 4, 5, 5)
    assert not module.weight.grad.any()  # type: ignore[union-attr]


def test_a_second_gradient_is_refused() -> None:
    module, x = nn.Conv2d(3, 16, 3, padding=1), torch.rand(2, 3, 5, 5, requires_grad=True)
    (first,) = torch.autograd.grad(sums_without_bias(module, x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="twice"):
        first.sum().backward()


@pytest.mark.parametrize("learned", [[], ["keep", "threshold", "readout_keep"]])
@pytest.mark.parametrize("kind", ["subpixel", "transposed"])
def test_only_training_is_changed(kind: str, learned: list[str]) -> None:
    content = load_config("digits").model_dump()
    content["model"]["learned"] = learned
    content["model"]["decoder"] = {
        "kind": kind,
        "channels": [8, 8, 8][: 2 if kind == "subpixel" else 3],
        "base_size": 4,
    }
    torch.manual_seed(0)
    model = ESVAE(config_from_dict(content, "digits")).arrange()
    images = torch.rand(8, 1, 16, 16) * 2 - 1

    def loss() -> float:
        return float(model.losses(images, torch.Generator().manual_seed(0)).reconstruction)

    with torch.no_grad():
        evaluated = [loss() for half in (False, True) if not set_half(model.eval(), half)]
        state = {name: value.clone() for name, value in model.state_dict().items()}
        trained = []
        for half in (False, True):
            model.load_state_dict(state)
            set_half(model.train(), half)
            trained.append(loss())
    assert evaluated[0] == evaluated[1]
    assert trained[0] != trained[1]
    assert trained[0] == pytest.approx(trained[1], rel=0.05)
