"""Records states and spikes of all layers at every step, in one process, straight into files."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyRefPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort, RefPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol


class Recorder(AbstractProcess):  # type: ignore[misc]
    """Reads variables when a step is over, and ports as the step goes on.

    Args:
        targets: each variable or output port, and the existing ``.npy`` file ``(total, *shape)`` that takes its values.
    """

    def __init__(self, targets: list[tuple[Var | OutPort, str]]) -> None:
        states = [(target, record) for target, record in targets if isinstance(target, Var)]
        sent = [(target, record) for target, record in targets if not isinstance(target, Var)]
        super().__init__(states=[record for _, record in states], sent=[record for _, record in sent])
        self.targets = {f"state{number}": target for number, (target, _) in enumerate(states)}
        self.targets |= {f"sent{number}": target for number, (target, _) in enumerate(sent)}
        for name, target in self.targets.items():
            setattr(self, name, (RefPort if isinstance(target, Var) else InPort)(shape=target.shape))

    def connect(self) -> None:
        """Connects the ports, which Lava knows of only once the process is made."""
        for name, target in self.targets.items():
            port = getattr(self, name)
            if isinstance(target, Var):
                port.connect_var(target)
            else:
                port.connect_from(target)


@implements(proc=Recorder, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt", "bit_accurate_loihi")
class PyRecorderModel(PyLoihiProcessModel):  # type: ignore[misc]
    """Writes what it reads into memory-mapped files.

    Lava's Monitor keeps the record of one target in a Var, and reading a Var costs 15 microseconds a number: 31 s
    instead of none for two images of a five-layer network.
    """

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.states, self.sent = (
            [
                (f"{kind}{number}", np.lib.format.open_memmap(record, mode="r+"))
                for number, record in enumerate(proc_params[key])
            ]
            for kind, key in (("state", "states"), ("sent", "sent"))
        )

    def post_guard(self) -> bool:
        """Whether there are variables to read."""
        return bool(self.states)

    def run_post_mgmt(self) -> None:
        """Reads the variables."""
        for name, record in self.states:
            record[self.time_step - 1] = getattr(self, name).read()

    def run_spk(self) -> None:
        """Takes what was sent."""
        for name, record in self.sent:
            record[self.time_step - 1] = getattr(self, name).recv()


def model_of(recorder: Recorder) -> type[PyRecorderModel]:
    """The model with as many ports as this process has; Lava's compiler asks for them as attributes of its class."""
    ports = {port.name: LavaPyType(PyRefPort.VEC_DENSE, int) for port in recorder.ref_ports}
    ports |= {port.name: LavaPyType(PyInPort.VEC_DENSE, int) for port in recorder.in_ports}
    return type("PyRecorderModel", (PyRecorderModel,), ports)
