"""COCO-Stuff (Caesar et al., CVPR 2018): 80 classes of things and 91 of stuff, numbered 1..182 in its label list.

Eleven numbers of things, from street sign to hair brush, have no masks. Names of things are COCO's.
"""

from pantile.data.classes.coco import TAXONOMY as COCO
from pantile.data.classes.plain import listed, semantic_taxonomy

WITHOUT_MASKS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91)
THING_IDS = tuple(k for k in range(1, 92) if k not in WITHOUT_MASKS)
STUFF_IDS = tuple(range(92, 183))
STUFF_NAMES = listed(
    """
banner | blanket | branch | bridge | building-other | bush | cabinet | cage | cardboard | carpet | ceiling-other |
ceiling-tile | cloth | clothes | clouds | counter | cupboard | curtain | desk-stuff | dirt | door-stuff | fence |
floor-marble | floor-other | floor-stone | floor-tile | floor-wood | flower | fog | food-other | fruit |
furniture-other | grass | gravel | ground-other | hill | house | leaves | light | mat | metal | mirror-stuff | moss |
mountain | mud | napkin | net | paper | pavement | pillow | plant-other | plastic | platform | playingfield | railing |
railroad | river | road | rock | roof | rug | salad | sand | sea | shelf | sky-other | skyscraper | snow |
solid-other | stairs | stone | straw | structural-other | table | tent | textile-other | towel | tree | vegetable |
wall-brick | wall-concrete | wall-other | wall-panel | wall-stone | wall-tile | wall-wood | water-other | waterdrops |
window-blind | window-other | wood
"""
)
TAXONOMY = semantic_taxonomy(
    [COCO.classes[COCO.index_of_id[own]].name for own in THING_IDS] + list(STUFF_NAMES), ids=THING_IDS + STUFF_IDS
)
