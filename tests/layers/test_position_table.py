"""Tables of positions in exported graphs: sides that are left open stay open, also at the table's own grid."""

import torch
from torch import Tensor, nn
from torch.export import Dim

from pantile.layers.position_table import resize_positions


class Table(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(1, 1 + 4 * 6, 5))

    def forward(self, maps: Tensor) -> Tensor:
        positions = resize_positions(self.table, (4, 6), maps.shape[2:], "bilinear")
        return maps.flatten(2).transpose(1, 2) + positions[:, 1:]


def test_a_graph_that_was_traced_at_the_tables_grid_takes_other_sizes():
    table = Table()
    sides = {2: 2 * Dim("h", min=1, max=9), 3: 2 * Dim("w", min=1, max=9)}
    program = torch.export.export(table, (torch.zeros(2, 5, 4, 6),), dynamic_shapes={"maps": sides}, strict=False)
    for size in ((4, 6), (6, 4), (8, 10)):
        maps = torch.randn(2, 5, *size)
        torch.testing.assert_close(program.module()(maps), table(maps))


def test_the_tables_own_grid_is_taken_as_it_is():
    table = Table().table
    assert resize_positions(table, (4, 6), (4, 6), "bicubic") is table
