#!/usr/bin/env bash
# One would guess that a program which torch.export makes for "any width of 4 w + 1" takes all of them. Where a map is
# padded to whole windows and cut again, as every Swin does, the slice makes torch ask whether it is the whole map, and
# the answer at the traced width becomes a rule that no message tells: traced at 17 with windows of 3, widths that are
# whole windows are refused when the program runs; traced at 9, all others are. Rows gathered by number
# (index_select) leave no such rule.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.15.0 numpy
cd "$work"
"$work/venv/bin/python" -W ignore - <<'PYTHON'
import torch
import torch.nn.functional as F


class Cut(torch.nn.Module):
    """Pads the middle side to windows of three and takes the padding away again."""

    def __init__(self, gather):
        super().__init__()
        self.gather = gather

    def forward(self, x):
        width = x.shape[1]
        padded = F.pad(x, (0, 0, 0, (width + 2) // 3 * 3 - width))
        cut = padded.index_select(1, torch.arange(width)) if self.gather else padded[:, :width]
        return cut + 1


WIDTHS = (5, 9, 13, 17, 21)
shapes = {"x": {0: torch.export.Dim("batch"), 1: 4 * torch.export.Dim("w") + 1}}


def taken(traced, gather):
    program = torch.export.export(Cut(gather), (torch.zeros(2, traced, 5),), dynamic_shapes=shapes, strict=False)
    call, found = program.module(), []
    for width in WIDTHS:
        try:
            assert call(torch.ones(3, width, 5)).shape == (3, width, 5)
        except AssertionError as error:
            assert "Guard failed" in str(error), error
        else:
            found.append(width)
    print(f"torch {torch.__version__}, traced at {traced}, {'gathered' if gather else 'cut'}: takes {found} of {WIDTHS}")
    return found


assert taken(17, gather=False) == [5, 13, 17]
assert taken(9, gather=False) == [9, 21]
assert taken(17, gather=True) == taken(9, gather=True) == list(WIDTHS)
PYTHON
