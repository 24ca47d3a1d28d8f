"""PASCAL-Context (Mottaghi et al., CVPR 2014): its 59 most frequent classes, and background.

Label PNGs number the classes by their ascending ids in the full data set, which is the alphabet's order. Lists of
names in public code often begin with VOC's twenty classes instead; mIoU does not depend on it, names of classes do.
"""

from pantile.data.classes.plain import listed, semantic_taxonomy

NAMES_59 = listed(
    """
aeroplane | bag | bed | bedclothes | bench | bicycle | bird | boat | book | bottle | building | bus | cabinet | car |
cat | ceiling | chair | cloth | computer | cow | cup | curtain | dog | door | fence | floor | flower | food | grass |
ground | horse | keyboard | light | motorbike | mountain | mouse | person | plate | platform | pottedplant | road |
rock | sheep | shelves | sidewalk | sign | sky | snow | sofa | table | track | train | tree | truck | tvmonitor |
wall | water | window | wood
"""
)
TAXONOMY_60 = semantic_taxonomy(("background", *NAMES_59), ids=range(60))
TAXONOMY_59 = semantic_taxonomy(NAMES_59, ids=range(1, 60))
