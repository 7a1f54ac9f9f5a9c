"""The drawing of a circuit: every number in it is counted, for any file."""

from __future__ import annotations

import itertools
import re
import runpy
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from circuit_networks import circuit_generator, host_generator

from export.circuit.generator import CircuitOptions, with_circuit
from export.circuit.tables import TableOptions
from export.ir import Network
from export.ir.circuit import circuit_of
from export.netx.write import write_netx

#: The script's own names.
SCRIPT = runpy.run_path(str(Path(__file__).resolve().parents[2] / "docs" / "draw_circuit.py"))

SHARED = CircuitOptions(tables=TableOptions(shared=True, noise_bits=16))
GENERATORS = {
    "terms": circuit_generator(),
    "two files": circuit_generator(chained=False),
    "one component": circuit_generator(components=1),
    "shared factor": with_circuit(host_generator(), SHARED),
}


@pytest.mark.parametrize("network", GENERATORS.values(), ids=GENERATORS)
def test_numbers_are_those_of_the_network(network: Network, tmp_path: Path) -> None:
    SCRIPT["main"](str(write_netx(network, tmp_path / "gen.net")), str(tmp_path / "c.svg"))
    drawn = ElementTree.parse(tmp_path / "c.svg").getroot()
    texts = ["".join(text.itertext()) for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
    circuit = circuit_of(network)
    assert circuit is not None
    held = re.findall(r"([\d,]+) neurons(?:, ([\d,]+) inside)?", "\n".join(texts))
    neurons, inside = (sum(int(one.replace(",", "") or 0) for one in side) for side in zip(*held, strict=True))
    between = sum(int(text.replace(",", "")) for text in texts if re.fullmatch(r"[\d,]+", text))
    assert neurons == circuit.source.outputs + circuit.latents.outputs
    assert inside + between == sum(map(np.count_nonzero, (circuit.source.recurrent, circuit.latents.weight)))
    names = [name for name, _ in circuit.layout.groups]
    assert set(names) <= set(texts)
    assert ("term" in texts) == ("term" in names)


def test_boxes_stand_apart_and_inside() -> None:
    circuit = circuit_of(GENERATORS["terms"])
    assert circuit is not None
    drawn = ElementTree.fromstring(SCRIPT["drawing"](circuit))
    width, height = map(float, drawn.attrib["viewBox"].split()[2:])
    keys = ("x", "y", "width", "height")
    rectangles = [one for one in drawn.iter("{http://www.w3.org/2000/svg}rect") if "rx" in one.attrib]
    boxes = [[float(one.attrib[key]) for key in keys] for one in rectangles]
    assert len(boxes) == len(circuit.layout.groups) + 1
    assert all(x >= 0 and y >= 0 and x + w <= width and y + h <= height for x, y, w, h in boxes)
    for one, other in itertools.combinations(boxes, 2):
        assert any(abs(one[axis] - other[axis]) >= one[axis + 2] for axis in (0, 1))


def test_a_file_of_the_hosts_has_no_circuit(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="draws on the host; export it with --generator chip"):
        SCRIPT["main"](str(write_netx(host_generator(), tmp_path / "h.net")), str(tmp_path / "c.svg"))
    assert not (tmp_path / "c.svg").exists()
