"""COCO+LVIS (Jain et al., "Scaling Semantic Segmentation Beyond 1K Classes on a Single GPU", ICCV 2021): 1284 classes.

The 1203 categories of LVIS v1 with their ids, then 81 classes of COCO-Stuff as 1204..1284; ten more classes of stuff
are merged into categories of LVIS.
"""

from collections.abc import Sequence

from pantile.contracts.taxonomy import Taxonomy
from pantile.data.classes.coco_stuff import STUFF_IDS, STUFF_NAMES
from pantile.data.classes.lvis import NAMES as LVIS_NAMES
from pantile.data.classes.plain import semantic_taxonomy

NUM_LVIS = 1203
MERGED_STUFF = {  # id of COCO-Stuff -> id of LVIS
    92: 50,  # banner
    93: 110,  # blanket
    98: 181,  # cabinet
    108: 346,  # cupboard
    109: 350,  # curtain
    137: 713,  # napkin
    141: 804,  # pillow
    153: 904,  # salad
    165: 1050,  # table
    168: 1108,  # towel
}
OTHER_STUFF = tuple(own for own in STUFF_IDS if own not in MERGED_STUFF)
ID_OF_STUFF = MERGED_STUFF | {own: NUM_LVIS + k for k, own in enumerate(OTHER_STUFF, start=1)}


def coco_lvis_taxonomy(lvis_names: Sequence[str]) -> Taxonomy:
    """
    Args:
        lvis_names: of the 1203 categories, in the order of their ids.
    """
    stuff = dict(zip(STUFF_IDS, STUFF_NAMES, strict=True))
    names = [*lvis_names, *(stuff[own] for own in OTHER_STUFF)]
    return semantic_taxonomy(names, ids=range(1, len(names) + 1))


TAXONOMY = coco_lvis_taxonomy(LVIS_NAMES)
