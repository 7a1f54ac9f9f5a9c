"""``esvae inspect``: what a network file holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from deploy.commands.options import Json, Net

if TYPE_CHECKING:
    from deploy.inspection import Inspection
    from export.netx.survey import Item

__all__ = ["inspect"]

_HEADER = ["layer", "output", "neurons", "weights", "synapses", "range", "levels", "zero", "bias", "keep", "threshold"]


def inspect(
    net: Net,
    items: Annotated[bool, typer.Option("--items", help="Also list every array and text of the file.")] = False,
    json: Json = False,
) -> None:
    """Show what a network file holds, foreign ones too; exit 1 where it cannot be read as a network, and say why.

    [bold]Example:[/] esvae inspect decoder.net
    """
    from deploy.inspection import inspect_file
    from deploy.view.console import emit_json

    found = inspect_file(net)
    if json:
        emit_json(found)
    else:
        _print(found, items=items or found.refused is not None)
    if found.refused is not None:
        raise typer.Exit(1)


def _print(found: Inspection, *, items: bool) -> None:
    from deploy.view.console import print_table, say

    say(f"{found.file}: {found.bytes:,} bytes")
    if found.refused is not None:
        say(f"not read as a network: {found.refused}")
    if found.layers:
        print_table(
            f"input {_shape(found.input_shape)}, window {found.time_steps or 'not said'}",
            [
                "layer",
                "output",
                "neurons",
                "weights",
                "synapses",
                "range",
                "levels",
                "zero",
                "bias",
                "keep",
                "threshold",
            ],
            [
                [
                    view.layer.removeprefix("layer "),
                    _shape(view.output_shape),
                    f"{view.neurons:,}",
                    f"{view.weights:,}",
                    f"{view.synapses:,}",
                    _range(view.weight_range) + ("" if view.even else " odd"),
                    str(view.weight_levels),
                    f"{view.zeros:.0%}",
                    _range(view.bias_range),
                    f"{view.voltage_keep:.3g}" + (f", {view.current_keep:.3g}" if view.current_keep else ""),
                    f"{view.threshold:,}",
                ]
                for view in found.layers
            ],
        )
        say("keep: share of the potential, then of the current, that survives a step; threshold: in units of weights")
    for view in found.layers:
        if view.delay_range is not None:
            say(f"{view.layer}: delays {_range(view.delay_range)} steps")
    if found.prior is not None:
        p = found.prior
        say(f"prior: {p['components']} components, {p['latents']} latents, rate codes of {p['rate_bits']} bits")
    if found.readout is not None:
        r = found.readout
        say(f"picture: {_shape(r['image_shape'])}, tanh(v / {r['unit']:g}), cells of {r['upscale']}x{r['upscale']}")
    for name, text in found.provenance.items():
        if "\n" not in text:
            say(f"{name}: {text}")
    if found.content_hash is not None:
        say(f"content hash: {found.content_hash}")
    if items:
        rows = [
            [item.path, item.kind, f"{item.dtype} {item.shape}" if item.dtype else "", _content(item)]
            for item in found.items
        ]
        print_table("in the file", ["path", "kind", "type", "content"], rows, words=True)


def _shape(shape: tuple[int, ...] | None) -> str:
    return "x".join(map(str, shape or ()))


def _range(values: tuple[int, int] | None) -> str:
    return "" if values is None else f"{values[0]}..{values[1]}"


def _content(item: Item) -> str:
    if item.low is None or item.high is None:
        return " ".join(item.text.split())
    return f"{item.low:g}" if item.low == item.high else f"{item.low:g}..{item.high:g}"
