"""YouTube-VIS (Yang et al., ICCV 2019): the 40 classes of 2019 and of 2021, all things, ids from 1 in this order."""

from pantile.contracts.taxonomy import ClassInfo, Taxonomy, default_color


def _things(names: str) -> Taxonomy:
    rows = enumerate(names.split())
    return Taxonomy(tuple(ClassInfo(name, True, k + 1, default_color(k)) for k, name in rows))


TAXONOMY_2019 = _things(
    "person giant_panda lizard parrot skateboard sedan ape dog snake monkey hand rabbit duck cat cow fish train horse "
    "turtle bear motorbike giraffe leopard fox deer owl surfboard airplane truck zebra tiger elephant snowboard boat "
    "shark mouse frog eagle earless_seal tennis_racket"
)
TAXONOMY_2021 = _things(
    "airplane bear bird boat car cat cow deer dog duck earless_seal elephant fish flying_disc fox frog giant_panda "
    "giraffe horse leopard lizard monkey motorbike mouse parrot person rabbit shark skateboard snake snowboard "
    "squirrel surfboard tennis_racket tiger train truck turtle whale zebra"
)
