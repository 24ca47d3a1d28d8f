"""What an output must agree with before it is merged."""

from collections.abc import Sequence

from pantile.contracts.errors import UserError
from pantile.contracts.outputs import ModelOutput
from pantile.contracts.placement import Placement
from pantile.contracts.taxonomy import Taxonomy


def check_agreement(output: ModelOutput, num_images: int, taxonomy: Taxonomy, placements: Sequence[Placement]) -> None:
    """
    Raises:
        UserError: the numbers of images or of classes disagree.
    """
    if num_images != len(placements):
        raise UserError(
            f"The output holds {num_images} images but there are {len(placements)} placements: give one each."
        )
    if output.num_classes != taxonomy.num_classes:
        raise UserError(
            f"The model predicts {output.num_classes} classes but the taxonomy has {taxonomy.num_classes}: "
            "use the taxonomy that the model was trained with."
        )
