"""The cells of the notebook that takes a Norse network to the chip's integers; ``make_notebook.py`` executes them."""

CELLS = [
    """# From your Norse network to Loihi

A small classifier is trained in Norse, exported to the file that lava-dl's netx loads, and held against Norse and
Lava. A network of snnTorch goes the same way, with `from_snntorch` in place of `from_norse`.

The data: scikit-learn's digits, 8x8. A pixel's grey is its probability to spike at each of 16 steps.""",
    '''import norse.torch as norse
import numpy as np
import torch
from sklearn.datasets import load_digits

torch.manual_seed(0)
digits = load_digits()
images, labels = torch.tensor(digits.images / 16).float(), torch.tensor(digits.target)


def spikes_of(images, steps=16):
    """(steps, N, 1, 8, 8), Poisson-like."""
    return (torch.rand(steps, *images.shape) < images).float().unsqueeze(2)''',
    """The network as Norse has it: a convolution, then a dense layer with one neuron a digit.""",
    """def neurons():
    parameters = norse.LIFBoxParameters(tau_mem_inv=torch.tensor(250.0), v_th=torch.tensor(0.1))
    return norse.LIFBoxCell(parameters)


network = norse.SequentialState(
    torch.nn.Conv2d(1, 8, 3, stride=2, padding=1),
    neurons(),
    torch.nn.Flatten(),
    torch.nn.Linear(8 * 4 * 4, 10),
    neurons(),
)""",
    """Trained on all but the last 297 images; the digit is the neuron that spikes most.""",
    """def counts(spikes):
    state, total = None, 0
    for now in spikes:
        fired, state = network(now, state)
        total = total + fired
    return total


optimizer = torch.optim.Adam(network.parameters(), 5e-3)
for _ in range(300):
    chosen = torch.randint(0, 1500, (64,))
    fired = counts(spikes_of(images[chosen]))
    loss = torch.nn.functional.cross_entropy(fired, labels[chosen])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"loss {loss.item():.3f}")""",
    """Exported with 8 bit weights. The rounding error of each layer:""",
    """from export import Options, export_network
from export.frontends import from_norse

done = export_network(from_norse(network.eval(), (1, 8, 8), time_steps=16), "norse.net", Options(weight_bits=8))
[(entry.layer, f"{entry.weight_error:.2%}") for entry in done.quantization]""",
    """The same spikes through Norse and through the file, in the chip's integers:""",
    """from export.netx import read_netx
from sim import reference

test = spikes_of(images[1500:])
with torch.no_grad():
    floats = counts(test).argmax(1).numpy()

integer_network = read_netx("norse.net")
entering = test.transpose(0, 1).numpy().astype(np.uint8)  # (images, steps, C, H, W)
layers = list(reference.simulate(integer_network, entering))
integers = layers[-1].s.sum(1).argmax(1)
truth = labels[1500:].numpy()
print(f"right in Norse: {(floats == truth).mean():.1%}, in integers: {(integers == truth).mean():.1%}")
print(f"the same answer: {(floats == integers).mean():.1%}")""",
    """The spikes of the first of these images:""",
    """from PIL import Image

from deploy.view.plots import draw_raster
from deploy.view.style import save_png

raster = [entering[0].reshape(16, -1)] + [layer.s[0].reshape(16, -1) for layer in layers]
rows = [{"layer": name} for name in integer_network.labels]
save_png(draw_raster({"steps": 16, "layers": rows}, raster), "raster.png")
Image.open("raster.png")""",
    """Does stock netx in Lava compute the same integers, and does it fit a Loihi 2?""",
    """from deploy.verify import verify

verdict = verify("norse.net", 2, against=("reference", "lava"))
verdict.equal, verdict.integers""",
    """from sim.fit.adviser import fit_network
from sim.fit.chips import chip_named

fit = fit_network(integer_network, chip_named("loihi2"))
[(row.layer, len(row.cores)) for row in fit.mapping.layers]""",
]
