"""Cityscapes (Cordts et al., CVPR 2016): the 19 evaluated classes with their official label ids and colours."""

from pantile.contracts.taxonomy import ClassInfo, Taxonomy

NUM_LABELS = 34  # official ids 0..33; those that are not in the list below are void

TAXONOMY = Taxonomy(
    (
        ClassInfo("road", False, 7, (128, 64, 128)),
        ClassInfo("sidewalk", False, 8, (244, 35, 232)),
        ClassInfo("building", False, 11, (70, 70, 70)),
        ClassInfo("wall", False, 12, (102, 102, 156)),
        ClassInfo("fence", False, 13, (190, 153, 153)),
        ClassInfo("pole", False, 17, (153, 153, 153)),
        ClassInfo("traffic light", False, 19, (250, 170, 30)),
        ClassInfo("traffic sign", False, 20, (220, 220, 0)),
        ClassInfo("vegetation", False, 21, (107, 142, 35)),
        ClassInfo("terrain", False, 22, (152, 251, 152)),
        ClassInfo("sky", False, 23, (70, 130, 180)),
        ClassInfo("person", True, 24, (220, 20, 60)),
        ClassInfo("rider", True, 25, (255, 0, 0)),
        ClassInfo("car", True, 26, (0, 0, 142)),
        ClassInfo("truck", True, 27, (0, 0, 70)),
        ClassInfo("bus", True, 28, (0, 60, 100)),
        ClassInfo("train", True, 31, (0, 80, 100)),
        ClassInfo("motorcycle", True, 32, (0, 0, 230)),
        ClassInfo("bicycle", True, 33, (119, 11, 32)),
    )
)
