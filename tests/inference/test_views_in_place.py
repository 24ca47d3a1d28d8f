"""Views of a network that knows nothing but where things are: averages must not move them."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pantile.contracts.outputs import CenterOutput, MaskOutput
from pantile.inference.views import Views, forward_views

VIEWS = Views((0.5, 1.0, 1.5), flip=True)
UNUSED = torch.zeros(1, 1, 1, 1)


def ramp(height: int, width: int) -> Tensor:
    """A slope from the top left to the bottom right, which every exact resize keeps but for the outermost pixels."""
    return (torch.arange(height)[:, None] + 2.0 * torch.arange(width))[None, None]


def by_areas(images: Tensor) -> MaskOutput:
    """Stride 4, each value the mean of its 4 x 4 pixels: inputs of 32k pixels."""
    return MaskOutput(torch.tensor([[[5.0, 0.0]]]), F.avg_pool2d(images, 4), UNUSED[0], UNUSED, UNUSED)


def by_corners(images: Tensor) -> MaskOutput:
    """Stride 4, each value that of a pixel: inputs of 32k + 1 pixels."""
    return MaskOutput(torch.tensor([[[5.0, 0.0]]]), images[..., ::4, ::4], UNUSED[0], UNUSED, UNUSED)


def centers_by_corners(images: Tensor) -> CenterOutput:
    fine = images[..., ::4, ::4]
    return CenterOutput(torch.cat([fine, -fine], dim=1), fine, torch.cat([fine, fine], dim=1) * 0)


@pytest.mark.parametrize(("network", "size"), [(by_areas, (64, 96)), (by_corners, (65, 97))])
def test_masks_stay_where_they_are(network, size) -> None:
    images = ramp(*size)
    first = network(images).mask_logits
    average = forward_views(network, images, VIEWS).mask_logits
    torch.testing.assert_close(average[..., 2:-2, 2:-2], first[..., 2:-2, 2:-2], atol=1e-3, rtol=0)


@pytest.mark.parametrize("size", [(65, 97), (65, 65)])
def test_centers_stay_where_they_are(size) -> None:
    images = ramp(*size)
    first = centers_by_corners(images).center_heatmap
    average = forward_views(centers_by_corners, images, VIEWS).center_heatmap
    torch.testing.assert_close(average, first, atol=1e-3, rtol=0)
