"""Whether the splits of a folder have the same classes."""

from collections.abc import Mapping

from pantile.contracts.same_classes import difference
from pantile.contracts.taxonomy import Taxonomy
from pantile.labels.checks.findings import Finding

TRAINING = "train"  # the split that the others are held against, or the first


def compare_classes(taxonomies: Mapping[str, Taxonomy], files: Mapping[str, str]) -> list[Finding]:
    """
    Args:
        taxonomies: of each split.
        files: of each split, where its classes stand.
    """
    training = [split for split in taxonomies if split.rstrip("0123456789") == TRAINING]
    first = next(iter(training or taxonomies), None)
    found = []
    for split, own in taxonomies.items():
        wanted = taxonomies[first]
        if told := difference(own, wanted, split, first):
            text = f"split {split!r} has other classes than {first!r}: {told}"
            found.append(Finding("classes-differ", files[split], None, text))
            continue
        ids = [{info.name: info.id for info in taxonomy.classes} for taxonomy in (own, wanted)]
        if own.names != wanted.names:
            text = f"split {split!r} lists the classes of {first!r} in another order; they are matched by name"
            found.append(Finding("class-order", files[split], None, text))
        if ids[0] != ids[1]:
            name = next(name for name in own.names if ids[0][name] != ids[1][name])
            text = f"category {name!r} has the id {ids[0][name]} in split {split!r} and {ids[1][name]} in {first!r}"
            found.append(Finding("class-ids", files[split], None, text))
    return found
