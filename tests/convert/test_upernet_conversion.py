"""UPerNet on Swin and BEiT's segmenter of Hugging Face, as ours: outputs, names of version 4, sizes told by tensors."""

from pathlib import Path

import pytest
import torch
from timm.models.beit import Beit
from timm.models.swin_transformer import SwinTransformer

from pantile.backbones.timm_beit import BeitBackbone
from pantile.backbones.timm_swin import SwinBackbone
from pantile.contracts.errors import UserError
from pantile.convert.foreign_checkpoint import FAMILIES
from pantile.convert.foreign_folder import ForeignWeights
from pantile.convert.huggingface_upernet import import_upernet, is_upernet, with_new_names
from pantile.models import UPerNet, UPerNetConfig

transformers = pytest.importorskip("transformers")
from models.huggingface import STAGES, randomised  # noqa: E402

HEADS = {"num_labels": 5, "auxiliary_channels": 8, "pool_scales": [1, 2, 3, 6]}


def swin_pair():
    swin = transformers.SwinConfig(
        embed_dim=16, depths=[1, 2, 1, 1], num_heads=[1, 2, 4, 8], window_size=7, out_features=STAGES
    )
    theirs = transformers.UperNetForSemanticSegmentation(
        transformers.UperNetConfig(backbone_config=swin, hidden_size=16, **HEADS)
    )
    backbone = SwinBackbone(SwinTransformer(embed_dim=16, depths=(1, 2, 1, 1), num_heads=(1, 2, 4, 8)))
    return theirs, backbone


def beit_pair():
    """Features of transformers are those after blocks 1, 2, 3 and 4, so that a fifth one runs for nothing."""
    config = transformers.BeitConfig(
        hidden_size=16,
        num_hidden_layers=5,
        num_attention_heads=2,
        intermediate_size=64,
        image_size=64,
        use_relative_position_bias=True,
        out_indices=[2, 3, 4, 5],
        **HEADS,
    )
    theirs = transformers.BeitForSemanticSegmentation(config)
    beit = Beit(
        img_size=64,
        embed_dim=16,
        depth=5,
        num_heads=2,
        use_abs_pos_emb=False,
        use_rel_pos_bias=True,
        init_values=0.1,
        norm_layer=lambda width, **options: torch.nn.LayerNorm(width, eps=config.layer_norm_eps, **options),
    )
    return theirs, BeitBackbone(beit, feature_blocks=(1, 2, 3, 4))


@pytest.fixture(scope="module", params=[swin_pair, beit_pair])
def pair(request):
    """Their model, and ours with its weights."""
    torch.manual_seed(0)
    theirs, backbone = request.param()
    theirs = randomised(theirs)
    config = UPerNetConfig(backbone=backbone, channels=16, auxiliary_channels=8)
    assert is_upernet(theirs.state_dict())
    ours = UPerNet(config, 5).eval()
    ours.load_state_dict(import_upernet(config, theirs.state_dict()))
    return theirs, ours


@pytest.mark.parametrize("size", [(224, 224), (224, 320)])
def test_outputs_are_theirs(pair, size):
    """At sizes for which no map of Swin is smaller than its window: transformers then shrinks windows."""
    theirs, ours = pair
    images = torch.randn(1, 3, *size)
    with torch.no_grad():
        options = {} if isinstance(ours.backbone, SwinBackbone) else {"interpolate_pos_encoding": True}
        expected, actual = theirs(images, **options).logits, ours(images).class_logits
    actual = torch.nn.functional.interpolate(actual, size=expected.shape[2:], mode="bilinear")  # theirs, of UPerNet
    assert (actual - expected).abs().max() < 1e-4


def test_files_with_old_and_new_names_are_read(pair, tmp_path):
    """transformers writes what it writes; both readings of it are the same model."""
    from safetensors.torch import load_file

    theirs, ours = pair
    theirs.save_pretrained(tmp_path)
    state = with_new_names(load_file(tmp_path / "model.safetensors"))
    assert state.keys() == theirs.state_dict().keys() or state.keys() == with_new_names(theirs.state_dict()).keys()
    for name, tensor in import_upernet(ours.config, state).items():
        assert torch.equal(tensor, ours.state_dict()[name]), name


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            "beit.encoder.layer.3.attention.attention.query.weight",
            "beit.layers.3.attention.q_proj.weight",
        ),
        (
            "beit.encoder.layer.0.attention.attention.relative_position_bias.relative_position_bias_table",
            "beit.layers.0.relative_position_bias.relative_position_bias_table",
        ),
        ("beit.encoder.layer.11.output.dense.bias", "beit.layers.11.mlp.fc2.bias"),
        ("beit.encoder.layer.11.attention.output.dense.bias", "beit.layers.11.attention.o_proj.bias"),
        ("beit.encoder.layer.1.lambda_1", "beit.layers.1.lambda_1"),
    ],
)
def test_names_of_version_4(old, new):
    assert list(with_new_names({"beit.x": 0, old: 0})) == ["beit.x", new]
    rest = {
        "fpn1.0.weight": "fpn.fpn1.conv_transpose1.weight",
        "fpn1.1.running_mean": "fpn.fpn1.normalization.running_mean",
        "fpn1.3.bias": "fpn.fpn1.conv_transpose2.bias",
        "fpn2.0.weight": "fpn.fpn2.weight",
        "decode_head.psp_modules.2.1.conv.weight": "decode_head.psp_modules.blocks.2.conv.convolution.weight",
        "decode_head.psp_modules.2.1.bn.bias": "decode_head.psp_modules.blocks.2.conv.normalization.bias",
        "decode_head.bottleneck.bn.weight": "decode_head.psp_bottleneck.normalization.weight",
        "decode_head.lateral_convs.0.conv.weight": "decode_head.lateral_convs.0.convolution.weight",
        "auxiliary_head.convs.0.bn.running_var": "auxiliary_head.convs.0.normalization.running_var",
        "auxiliary_head.classifier.weight": "auxiliary_head.classifier.weight",
    }
    assert list(with_new_names(dict.fromkeys(["beit.x", *rest])))[1:] == list(rest.values())


def test_sizes_are_told_by_the_tensors_and_the_recipe_by_the_classes():
    theirs = transformers.BeitConfig(
        num_hidden_layers=5, image_size=640, use_relative_position_bias=True, num_labels=150, out_indices=[2, 3, 4, 5]
    )
    with torch.device("meta"):
        foreign = transformers.BeitForSemanticSegmentation(theirs).state_dict()
    weights = ForeignWeights(Path("beit"), foreign, theirs.to_dict())
    config, taxonomy, state = FAMILIES["upernet"].read(weights, None, None)
    assert (config.recipe, taxonomy.names[0]) == ("upernet_beit_l_ade20k", "wall")
    assert (config.model.backbone, config.model.image_size) == ("beit_base_patch16_224", (640, 640))
    assert (config.model.feature_blocks, config.model.channels) == ((1, 2, 3, 4), 768)
    assert state["classifier.weight"].shape == (150, 768)
    lacking = {name: tensor for name, tensor in foreign.items() if not name.startswith("decode_head.fpn_convs.1")}
    with pytest.raises(UserError, match="tensors are missing"):
        import_upernet(config.model, lacking)
    assert not is_upernet({name: tensor for name, tensor in foreign.items() if "fpn_bottleneck" not in name})
