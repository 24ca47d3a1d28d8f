"""A data set whose classes are listed in another order than they are used in."""

import warnings

import numpy as np

from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.same_classes import match_classes, renumber
from pantile.contracts.taxonomy import Taxonomy
from pantile.data.dataset import PanopticDataset
from pantile.data.subset import Subset


class Renumbered(Subset):
    """All images of another data set, with the class indices of ``taxonomy``.

    Attributes:
        order: class index in ``taxonomy`` of each class of the data set.
    """

    def __init__(self, dataset: PanopticDataset, taxonomy: Taxonomy, order: tuple[int, ...]) -> None:
        super().__init__(dataset, range(len(dataset)))
        self.taxonomy = taxonomy
        self.order = order

    def load(self, index: int) -> tuple[np.ndarray, PanopticMap]:
        image, panoptic = super().load(index)
        return image, renumber(panoptic, self.order)


def with_classes(
    dataset: PanopticDataset, taxonomy: Taxonomy, data_is: str, wanted_by: str, remedy: str
) -> PanopticDataset:
    """The data set, with its classes in the order of ``taxonomy``; itself where they are already.

    Args:
        taxonomy: the classes that it is used with; category ids and colours do not matter.
        data_is, wanted_by, remedy: for messages, see ``match_classes``.

    Raises:
        UserError: other classes, or a thing that is stuff elsewhere.

    Warns:
        UserWarning: the order differs.
    """
    order = match_classes(dataset.taxonomy, taxonomy, data_is, wanted_by, remedy)
    if order == tuple(range(len(order))):
        return dataset
    warnings.warn(
        f"{data_is[0].upper()}{data_is[1:]} lists the classes of {wanted_by} in another order: they are matched by "
        "name.",
        stacklevel=3,
    )
    return Renumbered(dataset, taxonomy, order)
