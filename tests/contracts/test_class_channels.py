"""Labels to channels and channels to classes, each undoing the other."""

import pytest
import torch

from pantile.contracts.class_channels import channels_of, in_class_order

K = 6
SELECTIONS = torch.tensor([[4, 0, 5], [2, 1, 3]])


def test_labels_become_the_place_of_their_class_in_each_image():
    labels = torch.tensor([[[4, 0], [-1, 3]], [[4, 1], [2, -1]]])
    assert channels_of(labels, SELECTIONS, K).tolist() == [[[0, 1], [-1, -1]], [[-1, 1], [0, -1]]]
    assert channels_of(labels, None, K) is labels


def test_void_stays_void_beside_channels_of_no_class():
    labels = torch.tensor([[-1, 5, 2]])
    assert channels_of(labels, torch.tensor([[2, -1, -1]]), K).tolist() == [[-1, -1, 0]]


@pytest.mark.parametrize("shape", [(), (4,), (4, 5)])
def test_maps_of_channels_lie_at_their_classes(shape):
    maps = torch.randn(2, 3, *shape)
    full = in_class_order(maps, SELECTIONS, K, fill=-7.0)
    for image, classes in enumerate(SELECTIONS.tolist()):
        assert torch.equal(full[image][classes], maps[image])
        assert (full[image][[k for k in range(K) if k not in classes]] == -7).all()
    assert in_class_order(maps, None, K, 0.0) is maps


def test_channels_of_no_class_leave_no_trace():
    full = in_class_order(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[3, -1, 0]]), K, fill=0.0)
    assert full.tolist() == [[3, 0, 0, 1, 0, 0]]
