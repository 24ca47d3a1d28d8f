#!/usr/bin/env bash
# One would guess that transforms.v2.Resize keeps an image and its mask on top of each other. It resizes images with
# the corners of pixels as the frame, and masks by torch's "nearest", which takes the upper left pixel of each block:
# the mask moves to the lower right by half an output pixel, that is 3.7 pixels of the input at a scale of 1/8. Masks
# that are made smaller so are off at every border. InterpolationMode.NEAREST_EXACT does not move them, but given to
# one Resize of both it is taken for the image, too: mask and image need a Resize each.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet torch==2.15.0 torchvision==0.29.2
"$work/venv/bin/python" -W ignore - <<'PYTHON'
import torch
import torchvision
from torchvision import tv_tensors
from torchvision.transforms import v2


def centre(mask, scale):
    """In pixels of the input; the first one has its centre at 0.5."""
    return float((torch.nonzero(mask).double() + 0.5).mean() * scale)


def overlap(a, b):
    return float((a & b).sum() / (a | b).sum())


y, x = torch.meshgrid(torch.arange(512), torch.arange(512), indexing="ij")
disk = (y - 255.5) ** 2 + (x - 255.5) ** 2 < 150**2
image = tv_tensors.Image(disk.to(torch.uint8).expand(3, -1, -1) * 255)
mask = tv_tensors.Mask(disk.to(torch.uint8)[None])
shifts, exact_shifts = [], []
print(f"torch 2.15.0, torchvision {torchvision.__version__.split('+')[0]}: a disk around (256, 256)")
for scale in (2, 4, 8):
    size = (512 // scale, 512 // scale)
    seen, drawn = (resized[0] for resized in v2.Resize(size)(image, mask))
    seen, drawn = seen > 127, drawn.bool()
    exact = v2.Resize(size, interpolation=v2.InterpolationMode.NEAREST_EXACT)(mask)[0].bool()
    shifts.append(round(centre(drawn, scale) - 256, 1))
    exact_shifts.append(abs(round(centre(exact, scale) - 256, 1)))
    print(
        f"  1/{scale}: centre of the image {centre(seen, scale):.2f}, of the mask {centre(drawn, scale):.2f}, their IoU "
        f"{overlap(seen, drawn):.3f}; NEAREST_EXACT {centre(exact, scale):.2f}, {overlap(seen, exact):.3f}"
    )
assert shifts == [0.5, 1.6, 3.7] and max(exact_shifts) < 1, f"this changed: the mask moves by {shifts}, {exact_shifts}"
PYTHON
