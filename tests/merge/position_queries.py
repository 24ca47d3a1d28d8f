"""Outputs as a model that finds kernels at positions gives them: candidates level by level, then pooled regions."""

import torch
import torch.nn.functional as F

from pantile.contracts.outputs import MaskOutput
from pantile.contracts.taxonomy import Taxonomy

LEAST = 1e-6  # scores are kept away from 0 and 1


def class_row(score: float, label: int | None, num_classes: int) -> torch.Tensor:
    """(K+1,) float64 log probabilities of a query of one class; of none, if label is None."""
    score = min(max(score, LEAST), 1 - LEAST)
    row = torch.full((num_classes + 1,), torch.finfo(torch.float32).tiny, dtype=torch.float64)
    if label is None:
        row[:-1], row[-1] = (1 - score) / num_classes, score
    else:
        row[label], row[-1] = score, 1 - score
    return row.log()


def assemble(rows, kernels, pixel_embed: torch.Tensor) -> MaskOutput:
    """One image of (N, K+1) rows, at least one, (N, D) kernels and (D, h, w)."""
    return _output(torch.stack(list(rows)), torch.stack(list(kernels)), pixel_embed)


def _output(rows: torch.Tensor, kernels: torch.Tensor, pixel_embed: torch.Tensor) -> MaskOutput:
    mask_logits = torch.einsum("nd,dyx->nyx", kernels, pixel_embed)
    return MaskOutput(rows[None], mask_logits[None], kernels[None], pixel_embed[None], pixel_embed[None])


def random_queries(
    seed: int,
    taxonomy: Taxonomy,
    size: tuple[int, int],
    objects: int = 5,
    levels: int = 3,
    fillers: int = 4,
    region_of_things: bool = False,
) -> MaskOutput:
    """Smooth random masks. Each object has candidates of similar kernels, some rather less similar, a few at another
    class; each level has candidates of no score, and regions of stuff, some of them empty."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    def uniform():
        return torch.rand((), generator=generator, dtype=torch.float64).item()

    def pick(choices):
        return choices[int(torch.randint(len(choices), (), generator=generator))]

    channels = 6
    pixel_embed = F.interpolate(draw(1, channels, 4, 5), size, mode="bicubic")[0]
    objects, fillers = (count if taxonomy.thing_indices else 0 for count in (objects, fillers))
    base_kernels = [(pick(taxonomy.thing_indices), 2.5 * draw(channels)) for _ in range(objects)]
    class_kernels = {label: 2.5 * draw(channels) for label in [None, *taxonomy.stuff_indices]}
    rows, kernels = [], []

    def add(score, label, kernel):
        rows.append(class_row(score, label, taxonomy.num_classes))
        kernels.append(kernel)

    for _ in range(levels):
        for label, kernel in base_kernels:
            spread = pick([0.1, 0.5, 0.9])
            other = pick(taxonomy.thing_indices) if uniform() < 0.2 else label
            add(round(uniform(), 1), other, kernel + spread * draw(channels))
        for _ in range(fillers):
            add(0.0, pick(taxonomy.thing_indices), 2.5 * draw(channels))
    for _ in range(levels):
        if region_of_things:
            add(uniform(), None, class_kernels[None] + 0.3 * draw(channels))
        for label in taxonomy.stuff_indices:
            add(0.0 if uniform() < 0.3 else 0.3 * uniform(), label, class_kernels[label] + 0.3 * draw(channels))
    if not rows:  # neither things nor stuff nor regions were asked for
        no = torch.empty(0, taxonomy.num_classes + 1, dtype=torch.float64)
        return _output(no, torch.empty(0, channels, dtype=torch.float64), pixel_embed)
    return assemble(rows, kernels, pixel_embed)


def batch_of(outputs: list[MaskOutput]) -> MaskOutput:
    names = ("class_logits", "mask_logits", "query_embed", "pixel_embed", "pixel_feature")
    return MaskOutput(**{name: torch.cat([getattr(output, name) for output in outputs]) for name in names})
