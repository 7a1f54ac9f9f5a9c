"""Every array that a public function takes, or a public class holds, says its axes and its kind of numbers.

Type checkers and readers learn from it what fits, and tests check it (``tests/array_checks.py``). Which may stay bare
is named here, with the reason.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import esvae.arrays
from array_checks import ARRAY_KINDS
from sources import dotted, sources

#: What numpy and torch call an array.
ARRAYS = {"np.ndarray", "torch.Tensor", "NDArray", "ArrayLike"}
#: Methods that everybody calls though their names begin with underscores.
CALLED = {"__init__", "__call__"}

#: What may say nothing of its axes, by the reason.
BARE = {
    "is looked at before anything else, and an error of ours says what does not fit": {
        "esvae/chip/formats.py: IntFormat.check(values)",
        "export/encoder.py: DirectCoding.currents(images)",
        "export/float_simulate.py: simulate_float(spikes)",
        "export/options.py: Options.spikes",
        "sim/autoencoder.py: first_spikes(images)",
        "sim/autoencoder.py: encode(images)",
        "sim/autoencoder.py: autoencode(images)",
        "sim/reference.py: simulate(entering)",
        "sim/sampler.py: posterior_latents(counts)",
        "sim/stimulus.py: Stimulus.spikes",
        "sim/stimulus.py: Stimulus.images",
        "sim/stimulus.py: as_stimulus(given)",
        "sim/stimulus.py: check_spikes(spikes)",
        "sim/stimulus.py: with_read_phase(spikes)",
        "sim/stimulus.py: check_images(images)",
        "sim/stimulus.py: check_frames(frames)",
        "sim/twin/engine.py: Engine.run(given)",
        "sim/twin/engine.py: Engine.over(given)",
        "sim/twin/engine.py: Engine.potentials(given)",
        "sim/twin/engine.py: Engine.final_potentials(given)",
        "sim/twin/engine.py: Engine.traces(given)",
        "sim/counts/ops.py: count_traces(spikes)",
        "export/rasters.py: as_zeros_and_ones(spikes)",
        "deploy/entering.py: at_hand(stimulus)",
        "deploy/lava/autoencoder.py: autoencoder_graph(images)",
        "deploy/lava/graph.py: image_graph(images)",
        "deploy/lava/graph.py: generator_graph(entering)",
        "deploy/lava/jobs.py: WindowsJob.entering",
        "deploy/posterior.py: encode_counts(images)",
        "deploy/posterior.py: encode_latents(images)",
        "deploy/verdict.py: verify_spikes(spikes)",
    },
    "is made of whatever a file or a model holds; the network that it becomes part of checks it and names the layer": {
        "export/ir/floats.py: Norm.scale",
        "export/ir/floats.py: Norm.shift",
        "export/ir/generator.py: Prior.weight",
        "export/ir/generator.py: Prior.bias",
        "export/ir/generator.py: Prior.share",
        "export/ir/generator.py: SpikeReadout.levels",
        "export/ir/nodes.py: Dense.weight",
        "export/ir/nodes.py: Dense.bias",
        "export/ir/nodes.py: Dense.delay",
        "export/ir/nodes.py: RecurrentDense.weight",
        "export/ir/nodes.py: RecurrentDense.recurrent",
        "export/ir/nodes.py: RecurrentDense.bias",
        "export/ir/nodes.py: Conv.weight",
        "export/ir/nodes.py: Conv.bias",
        "export/ir/nodes.py: ConvTranspose.weight",
        "export/ir/nodes.py: ConvTranspose.bias",
    },
    "stands beside an argument that is looked at by us, where a check would look at every argument of the call first": {
        "esvae/metrics/features.py: extract(batches)",
        "export/passes/calibrate.py: calibrate(spikes)",
        "deploy/view/traces.py: raster_axes(spikes)",
        "deploy/view/traces.py: membrane_axes(potentials)",
    },
    "is any array, of which type, device or bytes are all that is asked": {
        "esvae/machine/arrays.py: save_array(values)",
        "esvae/machine/tensors.py: Tensors.tensors",
        "esvae/machine/tensors.py: save_tensors(tensors)",
        "esvae/machine/tensors.py: check_state(wanted)",
        "sim/twin/recurrent.py: Loop.matrix(like)",
        "deploy/lava/graph.py: Graph.arrays",
        "deploy/lava/graph.py: Graph.add_array(values)",
    },
}

#: What cannot say it: Lava's interpreter has no esvae.
ELSEWHERE = ("deploy/lava/inside/",)


def says_nothing(annotation: ast.AST | None) -> bool:
    """Whether an array occurs in an annotation without a kind around it, or with one that lets anything through."""
    if annotation is None:
        return False
    if isinstance(annotation, ast.Subscript) and dotted(annotation.value) in ARRAY_KINDS:
        _, axes = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else (None, None)
        anything = isinstance(axes, ast.Constant) and str(axes.value).split() in (["..."], ["*_"])
        return dotted(annotation.value) == "Shaped" and anything
    if dotted(annotation) in ARRAYS:
        return True
    return any(says_nothing(part) for part in ast.iter_child_nodes(annotation))


def public(name: str) -> bool:
    return not name.startswith("_") or name in CALLED


def bare(tree: ast.Module | ast.ClassDef, within: str = "") -> Iterator[str]:
    """Arguments, as ``name(argument)``, and fields, as ``Class.field``."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and public(node.name):
            yield from bare(node, f"{within}{node.name}.")
        elif isinstance(node, ast.AnnAssign) and within and isinstance(node.target, ast.Name):
            if public(node.target.id) and says_nothing(node.annotation):
                yield f"{within}{node.target.id}"
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and public(node.name):
            given = node.args
            for each in (*given.posonlyargs, *given.args, given.vararg, *given.kwonlyargs, given.kwarg):
                if each is not None and says_nothing(each.annotation):
                    yield f"{within}{node.name}({each.arg})"


def bare_arrays(modules: dict[str, ast.Module]) -> set[str]:
    return {f"{path}: {each}" for path, tree in modules.items() for each in bare(tree)}


def test_public_arrays_say_their_axes() -> None:
    allowed = set[str]().union(*BARE.values())
    found = {each for each in bare_arrays(sources()) if not each.startswith(ELSEWHERE)}
    assert found - allowed == set(), "annotate these with esvae.arrays, or name them above with the reason"
    assert allowed - found == set(), "these say their axes: take them off the list"


def test_every_kind_is_known() -> None:
    assert set(ARRAY_KINDS) == set(esvae.arrays.__all__)


def test_what_is_left_out_has_such_arrays() -> None:
    found = bare_arrays(sources())
    assert [left for left in ELSEWHERE if not any(each.startswith(left) for each in found)] == []


def test_planted_ones_are_found() -> None:
    tree = ast.parse(
        "def f(a: np.ndarray, b: Int32[np.ndarray, ' images'], *, c: int, d: Mapping[str, torch.Tensor]): ...\n"
        "def g(*a: Shaped[np.ndarray, ' ...'], b: Real[np.ndarray, ' ...'], **c: NDArray[Any] | None): ...\n"
        "def _own(a: np.ndarray): ...\n"
        "class Held:\n    a: np.ndarray | None = None\n    b: Bool[np.ndarray, ' images']\n    _c: np.ndarray\n"
        "    def __init__(self, a: Callable[[np.ndarray], None]): ...\n    def _own(self, a: np.ndarray): ...\n"
        "class _Own:\n    a: np.ndarray\n"
    )
    wanted = {"f(a)", "f(d)", "g(a)", "g(c)", "Held.a", "Held.__init__(a)"}
    assert bare_arrays({"sim/one.py": tree}) == {f"sim/one.py: {each}" for each in wanted}
