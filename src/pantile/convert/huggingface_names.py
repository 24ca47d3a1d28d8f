"""Renaming tensors between our models and those of others: one table per model, read in both directions.

A rule is (pattern, names): the pattern matches our tensor's name from its start, each of the names replaces what it
matched. Several names: our tensor holds theirs one after the other. Several of ours with the same name: theirs holds
ours, in the order of the rules.
"""

import re
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from pantile.contracts.errors import UserError

Rules = list[tuple[str, tuple[str, ...]]]
Pairs = list[tuple[tuple[str, ...], tuple[str, ...]]]  # (our names, their names) of one block of memory

COUNTER = ".num_batches_tracked"
INDEX = "relative_position_index"

#: Names of version 4, which the hub's files have and version 5 renames while it loads: first for Swin below
#: Mask2Former, whose table below MaskFormer has never changed, then for MaskFormer's decoder.
_DECODER_LAYER = r"^(model\.transformer_module\.decoder\.layers\.\d+\.)"


def swin_v4(encoder: str) -> list[tuple]:
    """Renames of version 4 for Swin.

    Args:
        encoder: a pattern of what lies before its names.
    """
    block = rf"^({encoder})(swin\.encoder\.layers\.\d+\.blocks\.\d+\.)"
    return [
        (rf"^({encoder})(?=embeddings\.|encoder\.layers\.)", r"\1swin."),
        (rf"{block}attention\.self\.(query|key|value)\.", lambda m: f"{m[1]}{m[2]}attention.{m[3][0]}_proj."),
        (rf"{block}attention\.self\.(relative_position_bias_table)", r"\1\2attention.relative_position_bias.\3"),
        (rf"{block}attention\.output\.dense\.", r"\1\2attention.o_proj."),
        (rf"{block}intermediate\.dense\.", r"\1\2mlp.fc1."),
        (rf"{block}output\.dense\.", r"\1\2mlp.fc2."),
    ]


MASK2FORMER_V4 = swin_v4(r"model\.pixel_level_module\.encoder\.")
MASKFORMER_V4 = [
    (rf"{_DECODER_LAYER}(self_attn|encoder_attn)\.out_proj\.", r"\1\2.o_proj."),
    (rf"{_DECODER_LAYER}(fc[12])\.", r"\1mlp.\2."),
]

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
    groups: dict[tuple[str, ...], list[tuple[int, str]]] = {}
    for name in ours:
        rule, their_names = _their_names(name, rules)
        groups.setdefault(their_names, []).append((rule, name))  # files list names in an order of their own
    return [(tuple(name for _, name in sorted(members)), theirs) for theirs, members in groups.items()]


def _their_names(name: str, rules: Rules) -> tuple[int, tuple[str, ...]]:
    """Which rule matches, and what it makes of the name."""
    for index, (pattern, templates) in enumerate(rules):
        match = re.match(pattern, name)
        if match:
            return index, tuple(match.expand(template) + name[match.end() :] for template in templates)
    raise KeyError(f"{name} has no counterpart in the other model")


def with_version_5_names(foreign: dict[str, Tensor], renames: Sequence[tuple]) -> dict[str, Tensor]:
    """A state dict of version 4 or 5 under the names of version 5.

    Args:
        renames: (pattern, replacement) for ``re.sub``, applied one after the other.
    """
    return {_renamed(name, renames): tensor for name, tensor in foreign.items()}


def _renamed(name: str, renames: Sequence[tuple]) -> str:
    for pattern, replacement in renames:
        name = re.sub(pattern, replacement, name)
    return name


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
    wanted = rename_to_theirs(expected, pairs)
    missing, surplus = sorted(wanted.keys() - foreign.keys()), sorted(foreign.keys() - wanted.keys())
    if missing or surplus:
        raise UserError(
            f"The state dict does not fit the config: {len(missing)} tensors are missing (first: "
            f"{missing[0] if missing else '-'}), {len(surplus)} are left over (first: "
            f"{surplus[0] if surplus else '-'}); set backbone, layers and queries as it was trained with."
        )
    for ours, theirs in pairs:
        for name in theirs:
            if foreign[name].shape != wanted[name].shape:
                raise UserError(
                    f"{name}: {' + '.join(ours)} has shape {tuple(foreign[name].shape)} in the state dict, but the "
                    f"config makes it {tuple(wanted[name].shape)}; set the widths as it was trained with, or replace "
                    "the file."
                )
    state = {name: tensor for ours, theirs in pairs for name, tensor in _repack(foreign, theirs, ours)}
    return {name: state[name].to(tensor.dtype) for name, tensor in expected.items()}


def _repack(state: dict[str, Tensor], sources: tuple[str, ...], targets: tuple[str, ...]) -> list[tuple[str, Tensor]]:
    if len(sources) == len(targets) == 1:
        return [(targets[0], state[sources[0]])]
    parts = torch.cat([state[name] for name in sources]).chunk(len(targets))
    return [(name, part.clone()) for name, part in zip(targets, parts, strict=True)]
