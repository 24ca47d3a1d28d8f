"""ViT-Adapter: a forward pass written out with sampled grids, the transformer untouched at the start, any size."""

import math

import pytest
import torch
import torch.nn.functional as F
from timm.models.beit import Beit, gen_relative_position_index

from pantile.backbones import create_backbone, tagged, weights_name
from pantile.backbones.timm_beit import BeitBackbone
from pantile.backbones.vit_adapter import ViTAdapter
from pantile.contracts.errors import UserError


def tiny_adapter(depth=4, seed=0):
    torch.manual_seed(seed)
    beit = Beit(
        img_size=64,
        embed_dim=32,
        depth=depth,
        num_heads=2,
        use_abs_pos_emb=False,
        use_rel_pos_bias=True,
        init_values=0.1,
    )
    return ViTAdapter(BeitBackbone(beit)).eval()


def randomise(module):
    for name, tensor in module.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2)
        elif tensor.is_floating_point():
            tensor.normal_(0, 0.3)


def centers(sizes):
    """(Q, 2): x and y of the pixels of these maps, in fractions of the image."""
    rows = []
    for h, w in sizes:
        y, x = torch.meshgrid((torch.arange(h) + 0.5) / h, (torch.arange(w) + 0.5) / w, indexing="ij")
        rows.append(torch.stack([x, y], 2).flatten(0, 1))
    return torch.cat(rows)


def attend(part, query, query_sizes, value, sizes):
    """Deformable attention of normed inputs in coordinates of the image, a grid for each head and map."""
    attention, heads, points = part.attention, 2, 4
    query, value = part.query_norm(query), part.value_norm(value)
    batch, length = query.shape[:2]
    offsets = attention.sampling_offsets(query).view(batch, length, heads, len(sizes), points, 2)
    weights = attention.attention_weights(query).view(batch, length, heads, -1).softmax(-1)
    weights = weights.view(batch, length, heads, len(sizes), points)
    maps = attention.value_proj(value).split([h * w for h, w in sizes], dim=1)
    out = []
    for head in range(heads):
        total = 0
        for level, (h, w) in enumerate(sizes):
            half = maps[level].shape[2] // heads
            image = maps[level][:, :, head * half : (head + 1) * half].transpose(1, 2).unflatten(2, (h, w))
            place = centers(query_sizes)[None, :, None] + offsets[:, :, head, level] / torch.tensor([w, h])
            sampled = F.grid_sample(image, 2 * place - 1, align_corners=False)
            total = total + (sampled * weights[:, None, :, head, level]).sum(3)
        out.append(total)
    return attention.output_proj(torch.cat(out, dim=1).transpose(1, 2))


def written_out(model, images):
    """What the released code computes where sides are multiples of 32."""
    height, width = images.shape[2:]
    sizes = [(height // s, width // s) for s in (8, 16, 32)]
    grid = [sizes[1]]
    first, *rest = model.prior(images)
    pyramid = torch.cat([x.flatten(2).mT + model.level_embed[i] for i, x in enumerate(rest)], dim=1)
    timm = model.beit.model
    x = timm.patch_embed.proj(images).flatten(2).mT
    token, seen = timm.cls_token.expand(len(images), -1, -1), []
    for index, block in enumerate(timm.blocks):  # one a group
        injector = model.injectors[index]
        x = x + injector.gamma * attend(injector.attention, x, grid, pyramid, sizes)
        bias = model.beit.tables[index][gen_relative_position_index(sizes[1])].permute(2, 0, 1)[None]
        token, x = block(torch.cat([token, x], 1), bias).split([1, x.shape[1]], dim=1)
        for extractor in model.extractors[index]:
            pyramid = pyramid + attend(extractor.attention, pyramid, sizes, x, grid)
            hidden = extractor.expand(extractor.ffn_norm(pyramid)).split([h * w for h, w in sizes], dim=1)
            mixed = [
                extractor.neighbours(t.mT.unflatten(2, s)).flatten(2).mT for t, s in zip(hidden, sizes, strict=True)
            ]
            pyramid = pyramid + extractor.project(F.gelu(torch.cat(mixed, 1)))
        seen.append(x.mT.unflatten(2, sizes[1]))
    c2, c3, c4 = (t.mT.unflatten(2, s) for t, s in zip(pyramid.split([h * w for h, w in sizes], 1), sizes, strict=True))
    maps = {"res2": model.up(c2) + first, "res3": c2, "res4": c3, "res5": c4}
    scales = (4, 2, 1, 0.5)
    return {
        name: model.norms[name](maps[name] + F.interpolate(x, scale_factor=scale, mode="bilinear"))
        for (name, scale), x in zip(zip(maps, scales, strict=True), seen, strict=True)
    }


@torch.no_grad()
def test_forward_is_the_one_written_out():
    model = tiny_adapter()
    randomise(model)
    images = torch.randn(2, 3, 64, 64)
    actual, expected = model(images), written_out(model, images)
    assert [len(extractors) for extractors in model.extractors] == [1, 1, 1, 3]
    for name, features in expected.items():
        assert features.abs().max() > 0.5
        torch.testing.assert_close(actual[name], features, atol=2e-4, rtol=1e-4)


@torch.no_grad()
def test_blocks_are_timms_while_the_injectors_are_silent():
    model = tiny_adapter(depth=8)
    reference = Beit(
        img_size=64, embed_dim=32, depth=8, num_heads=2, use_abs_pos_emb=False, use_rel_pos_bias=True, init_values=0.1
    ).eval()
    for table in model.beit.tables:
        table.normal_()
    state = model.beit.model.state_dict()
    for index, table in enumerate(model.beit.tables):
        state[f"blocks.{index}.attn.relative_position_bias_table"] = table
    reference.load_state_dict(state, strict=False)
    for injector in model.injectors:
        injector.gamma.zero_()
    images = torch.randn(1, 3, 64, 64)
    expected = reference.forward_intermediates(images, indices=[1, 3, 5, 7], intermediates_only=True)
    sizes = ((8, 8), (4, 4), (2, 2))
    _, seen = model._interact(images, torch.zeros(1, 84, 32), sizes)
    for ours, theirs in zip(seen, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [(64, 64), (65, 33), (97, 130)])
def test_sizes_of_the_maps(size):
    features = tiny_adapter()(torch.randn(1, 3, *size))
    for name, stride in {"res2": 4, "res3": 8, "res4": 16, "res5": 32}.items():
        assert features[name].shape == (1, 32, *(math.ceil(side / stride) for side in size))


def test_the_transformer_decays_and_the_adapter_does_not():
    model = tiny_adapter(depth=8)
    behind = model.layers_behind()
    assert behind["beit.model.patch_embed.proj.weight"] == behind["beit.model.cls_token"] == 9
    assert behind["beit.tables.0"] == behind["beit.model.blocks.0.attn.qkv.weight"] == 8
    assert behind["beit.model.blocks.7.norm1.weight"] == 1
    assert not any(name.startswith(("prior", "injectors", "extractors", "up", "norms")) for name in behind)


def test_by_name_for_every_architecture():
    name = "vit_adapter_beit_nano_patch16_224"
    backbone = create_backbone(name, in_channels=5, drop_path=0.2, image_size=(96, 64))
    assert isinstance(backbone, ViTAdapter) and backbone.beit.grid == (6, 4)
    assert backbone.extractors[0][0].drop_path.drop_prob == 0.2
    assert backbone.eval()(torch.randn(1, 5, 40, 30))["res5"].shape == (1, 64, 2, 1)
    assert weights_name("vit_adapter_beit_large_patch16_224.in22k_ft_in22k") == "beit_large_patch16_224.in22k_ft_in22k"
    untagged = tagged("vit_adapter_beit_base_patch16_224")
    assert untagged == f"vit_adapter_{weights_name('beit_base_patch16_224')}" and "." in untagged


def test_what_cannot_be_is_told():
    with pytest.raises(UserError, match="a multiple of 4 blocks, and this has 6"):
        tiny_adapter(depth=6)
    with torch.device("meta"):
        with pytest.raises(UserError, match="ResNetBackbone is not a BEiT; after vit_adapter_ give"):
            create_backbone("vit_adapter_resnet18")
        with pytest.raises(UserError, match=r"model\.output_stride"):
            create_backbone("vit_adapter_beit_base_patch16_224", output_stride=16)
        with pytest.raises(UserError, match="no model named 'no_such_net'"):
            create_backbone("vit_adapter_no_such_net")
