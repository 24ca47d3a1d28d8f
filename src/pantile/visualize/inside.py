"""How a model comes to its segments, drawn from its raw output; the kind of output decides what there is to see."""

from dataclasses import dataclass
from functools import singledispatch

import numpy as np
from torch import Tensor

from pantile.contracts.outputs import CenterOutput, MaskOutput, ModelOutput, SemanticOutput
from pantile.contracts.placement import Placement
from pantile.contracts.taxonomy import Taxonomy
from pantile.visualize.attention import attention_figure
from pantile.visualize.centers import center_figure
from pantile.visualize.class_maps import MOST_SHOWN, class_figure, ranked_figure
from pantile.visualize.clusters import assignment_figure, choose_queries, cluster_figure


@dataclass
class Inside:
    """One image's figures.

    Attributes:
        name: file name of the image.
        note: what they show.
        figures: (H, W, 3) uint8 each, with a text for those who cannot see it.
    """

    name: str
    note: str
    figures: list[tuple[np.ndarray, str]]


@singledispatch
def draw_inside(output: ModelOutput, name: str, image: np.ndarray, placement: Placement, taxonomy: Taxonomy) -> Inside:
    """
    Args:
        output: of one image (B = 1), with its ``layers`` where it has any.
        name: file name of the image.
        image: (H, W, 3) uint8, the image itself.
        placement: where it lies in the network's input.
        taxonomy: classes of the model.
    """
    raise TypeError(f"no rule to draw {type(output).__name__}")


@draw_inside.register
def _inside_of_masks(
    output: MaskOutput, name: str, image: np.ndarray, placement: Placement, taxonomy: Taxonomy
) -> Inside:
    layers = [_without_padding(layer.mask_logits, placement) for layer in (*output.layers, output)]
    classes = output.class_logits[0].float().cpu().numpy()
    queries = choose_queries(layers[-1], classes, taxonomy)
    names = [taxonomy.names[classes[query, :-1].argmax()] for query in queries]
    figures = []
    if queries:
        figures.append((cluster_figure(image, layers, queries, names), "assignment probability of single queries"))
    if queries and output.attention:
        attention = [_without_padding(maps, placement) for maps in output.attention]
        figures.append(
            (attention_figure(image, attention, queries, names), "attention of single queries to the pixels")
        )
    figures.append((assignment_figure(image, layers), "owner of each pixel, one colour per query"))
    note = (
        "From queries to segments: the probability that a pixel belongs to a query (softmax over queries), from the "
        "first decoder layer to the last, its range stretched to the colour scale without smoothing; then the query "
        "that owns each pixel."
    )
    return Inside(name, note, figures)


@draw_inside.register
def _inside_of_centers(
    output: CenterOutput, name: str, image: np.ndarray, placement: Placement, taxonomy: Taxonomy
) -> Inside:
    semantic, heatmap, offset = (
        _without_padding(maps, placement)
        for maps in (output.semantic_logits, output.center_heatmap, output.center_offset)
    )
    note = (
        "From pixels to segments: the most likely class of each pixel, where the model sees centres of things, and "
        "the direction in which each pixel of a thing looks for its centre (hue; paler is nearer)."
    )
    classes = semantic.argmax(axis=0)
    if output.classes is not None:
        classes = output.classes[0].cpu().numpy()[classes]
    figure = center_figure(image, classes, heatmap[0], offset, taxonomy)
    return Inside(name, note, [(figure, "classes, centres and offsets of each pixel")])


@draw_inside.register
def _inside_of_classes(
    output: SemanticOutput, name: str, image: np.ndarray, placement: Placement, taxonomy: Taxonomy
) -> Inside:
    shares = _without_padding(output.class_logits.float().softmax(dim=1), placement)
    classes = np.arange(len(shares)) if output.classes is None else output.classes[0].cpu().numpy()
    named = "the classes, from the one of the most pixels on"
    if output.classes is not None:
        named = "the classes that were selected for this image, in the order of their ranks"
    note = (
        "From pixels to classes: the most likely class of each pixel and its probability (softmax over the classes "
        f"that compete); then the probability of {named}; the first {MOST_SHOWN} are shown."
    )
    figures = [(class_figure(image, shares, classes, taxonomy), "class and confidence of each pixel")]
    if output.classes is None:
        order = np.argsort(-np.bincount(shares.argmax(axis=0).ravel(), minlength=len(shares)), kind="stable")
        shares, classes = shares[order], classes[order]
    presence = None if output.presence_logits is None else output.presence_logits[0].float().sigmoid().cpu().numpy()
    figures.append((ranked_figure(image, shares, classes, taxonomy, presence), "probability of single classes"))
    return Inside(name, note, figures)


def _without_padding(maps: Tensor, placement: Placement) -> np.ndarray:
    """(1, C, h, w) of the padded input to (C, h', w') of the image alone."""
    height, width = maps.shape[-2:]
    rows = max(1, round(height * placement.content[0] / placement.padded[0]))
    columns = max(1, round(width * placement.content[1] / placement.padded[1]))
    return maps[0, :, :rows, :columns].float().cpu().numpy()
