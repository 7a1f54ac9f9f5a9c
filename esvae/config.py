"""The configuration of a run: every key with its meaning and unit; unknown keys and impossible sizes are errors."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from esvae.chip.formats import DEFAULT_RATE_BITS, MAX_RATE_BITS, SpikeLaw
from esvae.chip.neuron import FloatLif
from esvae.chip.rounding import MAX_WEIGHT_BITS, MIN_WEIGHT_BITS
from esvae.errors import ConfigError
from esvae.machine.located_yaml import Located, load_yaml, parse_located
from esvae.machine.validation import fault
from esvae.shipped import config_path

__all__ = [
    "DATA_NAMES",
    "Config",
    "DataConfig",
    "DecoderConfig",
    "FinishConfig",
    "ModelConfig",
    "NeuronConfig",
    "PriorConfig",
    "QuantizationConfig",
    "TrainConfig",
    "config_from_dict",
    "config_to_yaml",
    "given_by",
    "load_config",
    "with_settings",
]

DataName = Literal["digits", "mnist", "fashion_mnist", "cifar10", "celeba", "folder"]
DATA_NAMES: tuple[str, ...] = get_args(DataName)

Channels = Annotated[list[Annotated[int, Field(ge=1, le=4096)]], Field(min_length=1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DataConfig(_Section):
    """Which images, and how large."""

    name: DataName = "digits"
    """The data set: ``digits`` is scikit-learn's 1,797 embedded 8x8 images; ``folder`` is any folder of images; the
    others come through torchvision."""
    image_size: int = Field(16, ge=8, le=128)
    """Height and width in pixels; images are resized to it, CelebA's after its centre of 148x148 is cut out."""
    image_channels: Literal[1, 3] = 1
    """1 grey, 3 colour; images are converted to it."""
    flip: bool = False
    """Mirror each training image with probability one half; the paper does with CIFAR-10 and CelebA."""


class NeuronConfig(_Section):
    """LIF: ``i = current_keep * i + s; u = keep * u * (1 - o) + norm(i); o = u > threshold``, s being what the synapses
    send (ESVAE, eq. 1 to 3, where ``current_keep`` is 0)."""

    cells: Literal["esvae", "norse", "slayer"] = "esvae"
    """Whose neurons fire: ours, Norse's LIFBox, or Lava-DL's cuba; the last two are slower and have surrogate gradients
    of their own."""
    keep: float = Field(0.25, ge=0, le=1)
    """Share of the membrane potential that survives a step."""
    current_keep: float = Field(0.0, ge=0, lt=1)
    """Share of the synaptic current that survives a step; none in the paper."""
    threshold: float = Field(0.2, gt=0)
    """The neuron fires strictly above it."""
    surrogate_width: float = Field(0.5, gt=0)
    """Half-width of the rectangular surrogate gradient around u = 0."""
    surrogate: Literal["rectangle", "superspike"] = "rectangle"
    """``superspike`` is Norse's, ``1 / (1 + |u - threshold|)^2``; of our own cells."""

    @property
    def lif(self) -> FloatLif:
        """What the neuron computes, without how it learns."""
        return FloatLif(self.keep, self.threshold, self.current_keep)


class DecoderConfig(_Section):
    """The generator's architecture."""

    kind: Literal["subpixel", "transposed"] = "subpixel"
    """``transposed``: the paper's, stride-2 transposed convolutions; ``subpixel``: chip-native, stride-1 convolutions
    on a coarse grid whose last layer emits the pixels of each cell as channels."""
    channels: Channels
    """Feature maps of each spiking layer, first to last."""
    base_size: int = Field(8, ge=1, le=32)
    """Height and width of the first layer's maps (2 in the paper; the grid of the sub-pixel decoder)."""
    readout_kernel: Literal[3, 5] = 3
    """Height and width of the last layer's kernel; with 5 a pixel hears more of the map, over more synapses."""
    readout_init: Literal["uniform", "smooth"] = "uniform"
    """Of the last layer's weights before training: ``uniform``, each drawn for itself, as torch does; ``smooth``, those
    of one cell's pixels interpolated, so that pictures begin without a seam between cells (of ``subpixel`` alone)."""


class PriorConfig(_Section):
    """Where the generator's firing rates come from."""

    kind: Literal["bottleneck", "mixture"] = "bottleneck"
    """``bottleneck``: the paper's linear layer on normal noise; ``mixture``: several of them, fitted to the posterior's
    rates once the rest is trained, which draws better pictures."""
    components: int = Field(32, ge=1, le=1024)
    """Of the mixture."""
    images: int = Field(20_000, ge=1)
    """Training images that the mixture is fitted to, at most; the time that it takes grows with them."""
    snap: bool = False
    """Drawn rates become whole numbers of spikes over the window, as the posterior's are; the paper's are not."""


class QuantizationConfig(_Section):
    """Training the decoder with the exporter's rounding and the chip's integer neurons in its forward pass."""

    weight_bits: int = Field(MAX_WEIGHT_BITS, ge=MIN_WEIGHT_BITS, le=MAX_WEIGHT_BITS)
    """Of the decoder's weights, sign included."""
    start: float = Field(0.5, ge=0, lt=1)
    """Share of the steps after which it begins; before, the decoder learns in floats and its norms gather their
    statistics. 0 for weights that are trained already."""


class ModelConfig(_Section):
    """The spiking autoencoder (ESVAE, section 4 and appendix)."""

    latent: int = Field(32, ge=1, le=4096)
    """Latent neurons."""
    time_steps: int = Field(16, ge=1, le=1024)
    """Length T of the window of one image, in time steps."""
    encoder_channels: Channels
    """Feature maps of the stride-2 3x3 convolutions."""
    decoder: DecoderConfig
    neuron: NeuronConfig = NeuronConfig()
    prior: PriorConfig = PriorConfig()
    sampling_gradient: Literal["straight_through", "rectangular"] = "straight_through"
    """How the gradient of a sampled spike ``r > U`` reaches the rate r: as it is; or, as in the official code, only
    where ``|r - U| < 0.5``."""
    sampler: SpikeLaw = "poisson"
    """How a rate becomes spikes: ``poisson``, the paper's, draws every step anew; ``systematic`` spaces the spikes
    evenly from a random start, so that their number over the window is that of the rate (Madow and Madow, 1944)."""
    readout_keep: float = Field(0.8, ge=0, le=1)
    """Share of the readout's potential that survives a step: ``tanh(sum_t 0.8^(T-1-t) x_t)``."""
    learned: list[Literal["keep", "threshold", "readout_keep"]] = []
    """Which of these numbers of the neurons are learned, beginning at the config's: ``keep`` and ``threshold``, one a
    layer, and ``readout_keep``. A learned share is always a multiple of 1/4096, as the chip's decays are; a threshold
    is rounded with its layer's weights. The paper learns none."""
    rate_bits: int = Field(DEFAULT_RATE_BITS, ge=1, le=MAX_RATE_BITS)
    """Fractional bits of the integer rate codes that the chip's sampler compares against."""
    quantization: QuantizationConfig | None = None
    """Train the decoder in the chip's integers; None trains it in floats and rounds when exporting."""


class FinishConfig(_Section):
    """What follows the training: the decoder alone goes on learning, on rates that the encoder gives once; then the
    mixture is fitted."""

    epochs: int = Field(5, ge=1)
    """Over the images below."""
    images: int = Field(20_000, ge=2)
    """Training images whose rates are kept, at most."""
    learning_rate: float = Field(1e-3, gt=0)
    """Falls to zero with a cosine."""
    consistency_weight: float = Field(0.0, ge=0)
    """Weight of the mean squared difference between the rates that a picture was drawn from and those that the encoder
    gives of it."""
    gain: bool = False
    """Drawn pictures get more contrast: the readout's potential is multiplied by what brings them closest to training
    images. Reconstructions are not."""


class TrainConfig(_Section):
    """Loss and optimizer (ESVAE, section 5.1)."""

    epochs: int = Field(300, ge=1)
    batch_size: int = Field(64, ge=2)
    """Images to a step, over all processes."""
    learning_rate: float = Field(3e-3, gt=0)
    schedule: Literal["constant", "cosine", "stable_decay"] = "constant"
    """``cosine`` lets the learning rate fall to zero over all steps; ``stable_decay`` keeps it and lets it fall to zero
    over the last quarter (warmup-stable-decay: how long to train may be decided late); the paper keeps it constant."""
    warmup_steps: int = Field(0, ge=0)
    """Steps over which the learning rate first rises in a straight line; none in the paper."""
    weight_decay: float = Field(1e-3, ge=0)
    gradient_clip: float | None = Field(None, gt=0)
    """Largest norm of the gradient of all parameters together; the paper does not limit it."""
    prior_rate_factor: float = Field(10.0, gt=0)
    """Learning rate of the prior's layer over that of the rest."""
    mmd_weight: float = Field(1e-3, ge=0)
    """Weight of the maximum mean discrepancy between posterior and prior rates."""
    activity_weight: float = Field(0.0, ge=0)
    """Weight of the decoder's activity: the share of its synaptic operations, which cost the chip its energy, that
    take place. The paper has none."""
    edge_weight: float = Field(0.0, ge=0)
    """Weight of the mean absolute error of differences between neighbouring pixels. The paper has none."""
    coarse_weight: float = Field(0.0, ge=0)
    """Weight of the mean squared error of pictures at a half and a quarter of the size. The paper has none."""
    feature_weight: float = Field(0.0, ge=0)
    """Weight of the mean squared difference of the codes that the data set's FAD autoencoder gives, as ``esvae fad
    train`` left it below the data root. FAD is measured in such codes too: judge by another autoencoder. The paper has
    none."""
    precision: Literal["auto", "32", "64", "bf16-mixed", "16-mixed"] = "32"
    """Of the arithmetic; ``auto`` takes bf16-mixed where the machine multiplies bfloat16 in hardware, else 32;
    ``16-mixed`` needs a GPU. Membrane potentials are never below 32 bit."""
    validation_images: int = Field(0, ge=0)
    """Taken from the end of the training set, never trained on, to stop early and to keep the best epoch by."""
    patience: int | None = Field(None, ge=1)
    """Stop after so many epochs without a better reconstruction of the validation images."""
    finish: FinishConfig | None = None
    """A last stage for the decoder alone; the paper has none."""
    seed: int = Field(0, ge=0, lt=2**32)

    @model_validator(mode="after")
    def _stops_by_something(self) -> TrainConfig:
        if self.patience is not None and not self.validation_images:
            raise ValueError("patience needs validation_images to judge an epoch by")
        return self


class Config(_Section):
    """All of a run."""

    name: str = Field(min_length=1)
    data: DataConfig
    model: ModelConfig
    train: TrainConfig = TrainConfig()

    @model_validator(mode="after")
    def _sizes_fit(self) -> Config:
        size, decoder = self.data.image_size, self.model.decoder
        if size % decoder.base_size:
            raise ValueError(f"data.image_size {size} is not a multiple of model.decoder.base_size {decoder.base_size}")
        if decoder.kind == "transposed":
            doubled = decoder.base_size << (len(decoder.channels) - 1)
            if doubled != size:
                raise ValueError(
                    f"model.decoder: base_size {decoder.base_size} doubled {len(decoder.channels) - 1} times gives "
                    f"{doubled}, expected data.image_size {size}; give one channel count first, one for each doubling"
                )
        cells = decoder.kind == "subpixel" and decoder.base_size < size
        if decoder.readout_init == "smooth" and not cells:
            raise ValueError(
                "model.decoder.readout_init smooth is of cells of several pixels, which kind subpixel has with a "
                "base_size below data.image_size"
            )
        if self.model.quantization is not None and self.model.neuron.cells != "esvae":
            raise ValueError("model.quantization needs model.neuron.cells: esvae, whose integers the chip has")
        if {"keep", "threshold"} & set(self.model.learned) and self.model.neuron.cells != "esvae":
            raise ValueError(
                "model.learned keep and threshold need model.neuron.cells: esvae, the only ones that learn"
            )
        if size >> len(self.model.encoder_channels) < 1:
            raise ValueError(f"model.encoder_channels: {len(self.model.encoder_channels)} halvings of {size} pixels")
        return self


def load_config(name_or_path: str | os.PathLike[str]) -> Config:
    """Reads a YAML config, by path or by the name of a shipped one (``digits``).

    Raises:
        ConfigError: no such file, not YAML, an unknown key, or a value outside its range; names the key.
    """
    path = config_path(name_or_path)
    try:
        located = load_yaml(path)
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror}); esvae config list names those that come with the project"
        ) from None
    return config_from_dict(located.content, str(path), located)


def config_from_dict(
    content: object, where: str, located: Located | None = None, given: Mapping[str, str] | None = None
) -> Config:
    """Checks a config that was read as plain objects.

    Args:
        content: dicts, lists and values.
        where: goes into the error.
        located: the lines that it stands on, for the error too.
        given: by key, with dots, the option that set it, which is then named instead.

    Raises:
        ConfigError: an unknown key, with the nearest one, or a value outside its range.
    """
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        errors = error.errors()
        unknown = next((each for each in errors if each["type"] == "extra_forbidden"), None)
        first = unknown or errors[0]  # a misspelt key is missing too
        key = ".".join(map(str, first["loc"]))
        message = _unknown(first["loc"]) if unknown else fault(first)
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        for set_key, option in (given or {}).items():
            if f"{key}.".startswith(f"{set_key}."):
                place = "" if key == set_key else f"{key}: "
                raise ConfigError(f"{option}: {place}{message}{more}") from None
        line = "" if located is None else f":{located.line(first['loc'])}"
        raise ConfigError(": ".join(filter(None, (f"{where}{line}", key, f"{message}{more}")))) from None


def with_settings(content: dict[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """A config's content with some keys set.

    Args:
        content: of a whole config, as dicts.
        settings: each ``KEY=VALUE``, the key with dots, the value as YAML.

    Raises:
        ConfigError: one that is not of that form, or sets a key below a value.
    """
    content = copy.deepcopy(content)
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not (key and equals):
            raise ConfigError(f"--set '{setting}': expected KEY=VALUE, such as train.learning_rate=0.001")
        section: Any = content
        *above, last = key.split(".")
        for name in above:
            if section.get(name) is None:
                section[name] = {}
            section = section[name]
            if not isinstance(section, dict):
                raise ConfigError(f"--set '{setting}': {name} is a value and has no keys")
        section[last] = parse_located(value, f"--set {key}").content
    return content


def given_by(settings: Sequence[str]) -> dict[str, str]:
    """By key, the ``--set`` option that sets it, for the errors of :func:`config_from_dict`."""
    return {setting.partition("=")[0]: f"--set {setting}" for setting in settings}


def _unknown(where: Sequence[str | int]) -> str:
    """What is said of a key that there is not: the nearest of those that there are."""
    kind: Any = Config
    for name in where[:-1]:
        annotation = kind.model_fields[name].annotation
        kind = next((each for each in (annotation, *get_args(annotation)) if hasattr(each, "model_fields")), Config)
    known = list(kind.model_fields)
    near = get_close_matches(str(where[-1]), known, 1)
    return "unknown key; " + (f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}")


def config_to_yaml(config: Config) -> str:
    """The resolved config, defaults included, in the order of the keys above."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
