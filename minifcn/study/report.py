"""report: a cost in words and tables."""

from __future__ import annotations

from ..models.coordinates import Grid
from .cost import Cost, Row
from .words import aligned, both, large


def report(cost: Cost, layers: bool = False) -> str:
    """Totals, after a line for every layer if asked for.

    >>> from minifcn import nn
    >>> from minifcn.study import cost
    >>> print(report(cost(nn.Conv2d(3, 8, 3, stride=2, padding=1), (3, 100, 100))))
    Conv2d on 1 x 3 x 100 x 100 -> 1 x 8 x 50 x 50
    parameters         224
    multiply-adds      540.0 k
    receptive field    3 pixels, one cell every 2
    memory, derived    896 B weights, 200.9 kB inference, 202.7 kB training
    """
    last = cost.rows[-1].shape if cost.rows else cost.image
    lines = [f"{cost.model} on {_shape(cost.image)} -> {_shape(last)}"]
    unused = f", {cost.unused:,} of them not used here" if cost.unused else ""
    lines.append(f"parameters         {cost.parameters:,}{unused}")
    lines.append(f"multiply-adds      {large(cost.multiply_adds)}")
    if cost.grid:
        every = both(cost.grid.step)
        lines.append(f"receptive field    {both(cost.grid.size)} pixels, one cell every {every}")
    memory = cost.memory
    words = f"{large(memory.weights, 'B')} weights, {large(memory.inference, 'B')} inference"
    lines.append(f"memory, derived    {words}, {large(memory.training, 'B')} training")
    return "\n".join(([_table(cost.rows), ""] if layers else []) + lines)


def _table(rows: tuple[Row, ...]) -> str:
    head = ["layer", "what", "output", "parameters", "mult-adds", "sees", "S", "b", "bytes"]
    body = []
    for row in rows:
        numbers = [f"{row.parameters:,}" if row.parameters else ""]
        numbers.append(large(row.multiply_adds) if row.multiply_adds else "")
        size = large(row.bytes, "B") if row.bytes else ""
        shape = " x ".join(map(str, row.shape[1:]))
        body.append([row.layer, row.what, shape, *numbers, *_place(row.grid), size])
    return aligned([head, *body], left=2)


def _place(grid: Grid | None) -> list[str]:
    if grid is None:
        return ["", "", ""]
    return [both(grid.size), both(grid.step), both(grid.centre)]


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
