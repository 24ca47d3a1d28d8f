"""Renaming tensors between our models and Hugging Face's: one table per model, read in both directions.

A rule is (pattern, names): the pattern matches our tensor's name from its start, each of the names replaces what it
matched. Several names: our tensor holds theirs one after the other. Several of ours with the same name: theirs holds
ours, in the order of our modules.
"""

import re
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from pantile.contracts.errors import UserError

Rules = list[tuple[str, tuple[str, ...]]]
Pairs = list[tuple[tuple[str, ...], tuple[str, ...]]]  # (our names, their names) of one block of memory

COUNTER = ".num_batches_tracked"

RESNET: Rules = [
    (r"model\.conv1\.", ("embedder.embedder.convolution.",)),
    (r"model\.bn1\.", ("embedder.embedder.normalization.",)),
]
for stage in range(4):
    ours, theirs = rf"model\.layer{stage + 1}\.(\d+)\.", rf"encoder.stages.{stage}.layers.\1."
    RESNET += [
        (rf"{ours}downsample\.0\.", (f"{theirs}shortcut.convolution.",)),
        (rf"{ours}downsample\.1\.", (f"{theirs}shortcut.normalization.",)),
    ]
    for conv in range(3):
        RESNET += [
            (rf"{ours}conv{conv + 1}\.", (f"{theirs}layer.{conv}.convolution.",)),
            (rf"{ours}bn{conv + 1}\.", (f"{theirs}layer.{conv}.normalization.",)),
        ]


def swin_rules(
    attention: tuple[str, str, str, str], table: str, mlp: tuple[str, str], root: str, norms: Sequence[str]
) -> Rules:
    """The Swin Transformer under either set of names.

    Args:
        attention: of query, key, value and output.
        table: of the relative position bias.
        mlp: of its two layers.
        root: of the backbone without its output norms.
        norms: of the four output norms.
    """
    block = rf"{root}encoder.layers.\1.blocks.\2."
    ours = r"model\.layers\.(\d+)\.blocks\.(\d+)\."
    rules = [
        (r"model\.patch_embed\.proj\.", (f"{root}embeddings.patch_embeddings.projection.",)),
        (r"model\.patch_embed\.norm\.", (f"{root}embeddings.norm.",)),
        (rf"{ours}norm1\.", (f"{block}layernorm_before.",)),
        (rf"{ours}norm2\.", (f"{block}layernorm_after.",)),
        (rf"{ours}attn\.qkv\.", tuple(f"{block}{name}." for name in attention[:3])),
        (rf"{ours}attn\.proj\.", (f"{block}{attention[3]}.",)),
        (rf"{ours}attn\.relative_position_bias_table", (f"{block}{table}",)),
        (rf"{ours}mlp\.fc1\.", (f"{block}{mlp[0]}.",)),
        (rf"{ours}mlp\.fc2\.", (f"{block}{mlp[1]}.",)),
    ]
    for stage in range(4):  # theirs downsamples after a stage, timm before the next
        rules += [
            (rf"model\.layers\.{stage + 1}\.downsample\.", (f"{root}encoder.layers.{stage}.downsample.",)),
            (rf"norms\.res{stage + 2}\.", (f"{norms[stage]}.",)),
        ]
    return rules


def below(ours: str, theirs: str, rules: Rules) -> Rules:
    """The rules of a module, for the model that holds it."""
    return [(re.escape(ours) + pattern, tuple(theirs + name for name in names)) for pattern, names in rules]


def pair_names(ours: Iterable[str], rules: Rules) -> Pairs:
    """Which of our tensors are which of theirs.

    Raises:
        KeyError: a name that no rule matches.
    """
    groups: dict[tuple[str, ...], tuple[str, ...]] = {}
    for name in ours:
        their_names = _their_names(name, rules)
        groups[their_names] = (*groups.get(their_names, ()), name)
    return [(our_names, their_names) for their_names, our_names in groups.items()]


def _their_names(name: str, rules: Rules) -> tuple[str, ...]:
    for pattern, templates in rules:
        match = re.match(pattern, name)
        if match:
            return tuple(match.expand(template) + name[match.end() :] for template in templates)
    raise KeyError(f"{name} has no counterpart in the Hugging Face model")


def rename_to_theirs(state: dict[str, Tensor], pairs: Pairs) -> dict[str, Tensor]:
    """Our state dict under their names."""
    return {name: tensor for ours, theirs in pairs for name, tensor in _repack(state, ours, theirs)}


def rename_to_ours(foreign: dict[str, Tensor], pairs: Pairs, expected: dict[str, Tensor]) -> dict[str, Tensor]:
    """Their state dict under our names, checked against ``expected`` (tensors of our model, on any device).

    Raises:
        UserError: a tensor is missing, left over, or has another shape. Batch counters may be missing.
    """
    foreign = dict(foreign)
    for ours, theirs in pairs:
        if theirs[0].endswith(COUNTER):
            foreign.setdefault(theirs[0], torch.zeros_like(expected[ours[0]], device="cpu"))
    wanted = {name for _, theirs in pairs for name in theirs}
    missing, surplus = sorted(wanted - foreign.keys()), sorted(foreign.keys() - wanted)
    if missing or surplus:
        raise UserError(
            f"The Hugging Face state dict does not fit the config: {len(missing)} tensors are missing (first: "
            f"{missing[0] if missing else '-'}), {len(surplus)} are left over (first: "
            f"{surplus[0] if surplus else '-'}); set backbone, layers and queries as in its config.json."
        )
    state = {name: tensor for ours, theirs in pairs for name, tensor in _repack(foreign, theirs, ours)}
    for name, tensor in state.items():
        if tensor.shape != expected[name].shape:
            raise UserError(
                f"{name} has shape {tuple(tensor.shape)} in the Hugging Face state dict, but the config makes it "
                f"{tuple(expected[name].shape)}; set the widths as in its config.json."
            )
    return {name: state[name] for name in expected}


def _repack(state: dict[str, Tensor], sources: tuple[str, ...], targets: tuple[str, ...]) -> list[tuple[str, Tensor]]:
    if len(sources) == len(targets) == 1:
        return [(targets[0], state[sources[0]])]
    parts = torch.cat([state[name] for name in sources]).chunk(len(targets))
    return [(name, part.clone()) for name, part in zip(targets, parts, strict=True)]
