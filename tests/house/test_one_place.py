"""What stands in one place, or in few that are named here with the reason: convolutions, taps, the chip's numbers, the
raw reader of files."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

import pytest

from sources import dotted, sources, walk

#: Who may call torch's convolutions and their like. What reaches what is asked of ``export/ir/geometry.py``.
CONVOLUTIONS = {
    "esvae/model/decoder.py": "the float readout, computed once on the weighted sum of the steps",
    "esvae/model/quantized.py": "training in integers: the layer's own product with rounded weights",
    "esvae/model/convolve.py": "the gradient of a transposed convolution",
    "export/encoder.py": "direct coding: the first convolution of an image, once",
    "export/float_layer.py": "the float simulator's layer",
    "export/passes/feedback.py": "the patches that a kernel sees, for rounding errors that cancel",
    "sim/twin/synapses.py": "the twin's sums",
    "deploy/compare/images.py": "the blur of SSIM, no layer",
}
CONVOLUTION_CALLS = {"conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"}
CONVOLUTION_CALLS |= {"unfold", "fold"}

#: Who may reckon with a kernel's stride, padding or dilation, or go through its taps.
TAPS = {
    "export/ir/geometry.py": "the law",
    "export/ir/nodes.py": "the sizes of outputs",
    "export/ir/limits.py": "the size of a padded map",
    "export/ir/phases.py": "the cells of the fine grid",
    "export/ir/depthwise.py": "slayer's pools, by slayer's arithmetic",
    "export/frontends/sum_pools.py": "two kernels, one behind the other, as one",
    "export/frontends/nir/sums.py": "the word 'same' for a padding",
    "export/onnx/sums.py": "whether phases fill the map",
    "sim/counts/fan_out.py": "adds up by tap what geometry says of places",
    "sim/twin/synapses.py": "which kernels torch sums directly",
    "sim/twin/int8.py": "the pixels of a cell side by side in memory",
    "esvae/model/convolve.py": "a view of the patches that a kernel sees, by strides of memory; the size of an output",
    "esvae/machine/torch_archive.py": "strides of a tensor in memory, of no kernel",
}
SETTINGS = {"stride", "padding", "dilation"}
RECKONING = (ast.Mult, ast.FloorDiv, ast.Mod, ast.Sub)

#: Numbers of the chip's registers, by the name under which ``esvae/chip`` has them.
REGISTERS = {131_071: "THRESHOLD.max", 262_143: "NEVER_FIRES", 8_388_607: "STATE_LIMIT - 1", 8_388_608: "STATE_LIMIT"}
REGISTERS |= {16_777_216: "STATE_WRAP", 0xA3000000: "LFSR_TAPS"}
HOMES = {"esvae/chip/formats.py", "esvae/chip/neuron.py", "sim/sampler.py"}

#: Who may read a file that nobody has looked at first.
RAW_READERS = {"export/netx/read.py", "export/netx/guard.py", "export/netx/check.py"}

Rule = Callable[[str, ast.Module], Iterator[str]]


def convolutions_elsewhere(path: str, tree: ast.Module) -> Iterator[str]:
    if path in CONVOLUTIONS:
        return
    for node in walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CONVOLUTION_CALLS:
            yield f"{path}:{node.lineno}: {ast.unparse(node.func)}; ask export/ir/geometry.py, or name the file here"


def names_a_setting(node: ast.AST) -> bool:
    """Whether it is ``stride``, ``layer.stride``, ``stride[0]`` or the like."""
    while isinstance(node, ast.Subscript):
        node = node.value
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name in SETTINGS


def reckons(node: ast.AST) -> bool:
    return isinstance(node, ast.BinOp) and isinstance(node.op, RECKONING)


def of_taps(node: ast.AST) -> bool:
    """Whether it is ``tap * dilation``, or ``at * stride - padding``; the same of names that come from a ``zip`` of
    settings; or a loop over a kernel's taps."""
    match node:
        case ast.BinOp():
            return reckons(node) and any(map(names_a_setting, (node.left, node.right)))
        case ast.Call():
            return dotted(node.func).endswith("ndindex")
        case ast.GeneratorExp() | ast.ListComp() | ast.SetComp():
            given = [each for part in node.generators if isinstance(part.iter, ast.Call) for each in part.iter.args]
            return any(map(names_a_setting, given)) and any(map(reckons, ast.walk(node)))
    return False


def taps_elsewhere(path: str, tree: ast.Module) -> Iterator[str]:
    for node in filter(of_taps, () if path in TAPS else walk(tree)):
        yield f"{path}:{node.lineno}: {ast.unparse(node)}; ask export/ir/geometry.py, or name the file here"  # type: ignore[attr-defined]


def bare_registers(path: str, tree: ast.Module) -> Iterator[str]:
    if path in HOMES:
        return
    for node in walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, int) and node.value in REGISTERS:
            yield f"{path}:{node.lineno}: {node.value} is {REGISTERS[node.value]}; use the name"


def bare_rate_bits(path: str, tree: ast.Module) -> Iterator[str]:
    for node in walk(tree):
        given: list[tuple[str | None, ast.expr | None]] = []
        if isinstance(node, ast.Call):
            given = [(keyword.arg, keyword.value) for keyword in node.keywords]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            given = [(node.target.id, node.value)]
        elif isinstance(node, ast.FunctionDef):
            names = [argument.arg for argument in node.args.args][-len(node.args.defaults) or 1 :]
            given = list(zip(names, node.args.defaults, strict=False))
        for name, value in given:
            if name == "rate_bits" and isinstance(value, ast.Constant) and value.value is not None:
                yield f"{path}:{value.lineno}: rate_bits {value.value}; use esvae.chip's DEFAULT_RATE_BITS"


def raw_reading(path: str, tree: ast.Module) -> Iterator[str]:
    if path in RAW_READERS:
        return
    for node in walk(tree):
        if isinstance(node, ast.ImportFrom) and any(alias.name == "read_netx_unguarded" for alias in node.names):
            yield f"{path}:{node.lineno}: reads files unguarded; use export.netx.read_netx"


RULES: dict[Rule, list[tuple[str, str]]] = {
    convolutions_elsewhere: [
        ("export/passes/lower.py", "from torch.nn import functional\nfunctional.conv2d(x, w)"),
        ("sim/counts/fan_out.py", "import torch\ntorch.nn.functional.unfold(x, 3)"),
    ],
    taps_elsewhere: [
        ("sim/twin/pieces.py", "at = tap * layer.dilation[axis]"),
        ("sim/twin/pieces.py", "at = stride * output"),
        ("export/passes/lower.py", "size = [(n + 2 * p - k) // s + 1 for n, p, k, s in zip(a, pool.padding, b, c)]"),
        ("export/passes/lower.py", "import numpy as np\nfor y, x in np.ndindex(*kernel): pass"),
    ],
    bare_registers: [
        ("sim/reference.py", "limit = 8388607"),
        ("export/passes/quantize.py", "threshold = 131_071"),
    ],
    bare_rate_bits: [
        ("sim/sampler.py", "def f(codes, rate_bits=8): pass"),
        ("deploy/verify.py", "Rates(codes, rate_bits=8)"),
        ("export/ir/generator.py", "class A:\n    rate_bits: int = 8"),
    ],
    raw_reading: [("deploy/api.py", "from export.netx.read import read_netx_unguarded")],
}


@pytest.mark.parametrize(("rule", "path", "text"), [(rule, *case) for rule, cases in RULES.items() for case in cases])
def test_rule_sees_a_planted_fault(rule: Rule, path: str, text: str) -> None:
    assert len(list(rule(path, ast.parse(text)))) == 1


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_source_keeps_the_rule(rule: Rule) -> None:
    assert sources()
    faults = [fault for path, tree in sources().items() for fault in rule(path, tree)]
    assert not faults, "\n".join(faults)


def test_the_files_that_are_named_still_need_it() -> None:
    for path in CONVOLUTIONS:
        calls = {node.attr for node in walk(sources()[path]) if isinstance(node, ast.Attribute)}
        assert calls & CONVOLUTION_CALLS, f"{path} calls no convolution any more; take it off the list"
    idle = {path for path in TAPS if not any(map(of_taps, walk(sources()[path])))}
    assert not idle, f"{idle} reckon with no tap any more; take them off the list"
