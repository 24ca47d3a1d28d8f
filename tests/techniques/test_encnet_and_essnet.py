"""EncNet and ESSNet on Segmenter against the numbers of RankSeg's code, in double precision, and by their formulas."""

from dataclasses import replace

import pytest
import torch
from rankseg_models import SegmenterDecoder, decoder_weights, losses_of_port, targets_of, taxonomy
from torch import nn

from pantile.contracts.errors import UserError
from pantile.layers.conv import relu_conv
from pantile.layers.encoding import ContextEncoding
from pantile.losses.asymmetric import presence_cross_entropy
from pantile.losses.chunked_cross_entropy import cross_entropy_sum
from pantile.losses.nearest_cross_entropy import among_neighbours, nearest_cross_entropy_sum
from pantile.models.segmenter import SegmenterConfig
from pantile.techniques import EncNetConfig, ESSNetConfig, losses_of
from pantile.techniques.base import run_model
from rankseg_blocks import Recording
from recorded_heads import loss_over_all_pixels


def close(value, expected, tolerance=1e-5):
    torch.testing.assert_close(value, expected, rtol=0, atol=tolerance)


def encnet_state(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    renames = {
        "bottleneck.": "bottleneck.",
        "enc_module.encoding_project.": "encoding.projection.",
        "enc_module.encoding.0.": "encoding.",
        "enc_module.encoding.1.": "encoding.norm.",
        "enc_module.fc.0.": "encoding.gate.",
        "se_layer.": "classifier.",
    }
    return {
        ours + name.removeprefix(theirs).replace("bn.", "norm."): value
        for name, value in state.items()
        for theirs, ours in renames.items()
        if name.startswith(theirs)
    }


def step(model: nn.Module, technique, feature: torch.Tensor, label: torch.Tensor, classes: int):
    """Output and losses of a training step."""
    techniques = {"it": technique.train()}
    output = run_model(model.train(), techniques.values(), feature)
    return output, losses_of(output, techniques, losses_of_port(classes), targets_of(label, classes))[0]


def segmenter(told: dict, state: dict, classes: int, width: int, d_model: int, **fields) -> SegmenterDecoder:
    config = SegmenterConfig(channels=d_model, num_heads=4, ffn_channels=32, dropout=0, **fields)
    model = SegmenterDecoder(width, classes, config).double()
    weights = decoder_weights(state, first_block=0)
    norm = {f"selector.norm.{kind}": state[f"mask_norm.{kind}"] for kind in ("weight", "bias")}
    model.load_state_dict(weights | norm)
    return model


def built(config, model: nn.Module, classes: int):
    technique = config.make()
    technique.build(model, taxonomy(classes))
    technique.attach(model)
    return technique.double()


def test_encnet_on_segmenter_is_the_originals(real_data):
    recording = Recording(real_data, "segmenter_encnet")
    told, state = recording.told, recording.state()
    model = segmenter(told, state, 10, 16, 16)
    technique = built(EncNetConfig(codes=told["num_codes"]), model, 10)
    technique.load_state_dict(encnet_state(state))
    with torch.no_grad():
        logits = run_model(model.eval(), [technique.eval()], recording["x0"]).class_logits
    close(logits, recording["test_logits"])
    x = recording["x0"].requires_grad_()
    output, losses = step(model, technique, x, recording["label"], 10)
    close(output.class_logits, recording["train_logits"])
    assert losses["semantic"].item() == pytest.approx(told["losses"]["loss_seg"], abs=1e-5)
    assert losses["it_presence"].item() == pytest.approx(told["losses"]["loss_se"], abs=1e-5)
    sum(losses.values()).backward()
    close(x.grad, recording["grad_x0"])
    close(model.decoder.class_embed.grad, recording["grad_cls_emb"][0])
    theirs = encnet_state(told["grad_norm"])
    for name, parameter in technique.named_parameters():
        assert parameter.grad.norm().item() == pytest.approx(theirs[name], abs=1e-5), name


def test_encoding_on_a_plain_head_is_the_originals(real_data):
    recording = Recording(real_data, "encnet")
    told, state = recording.told, recording.state()

    class Head(nn.Module):
        def __init__(self):
            super().__init__()
            self.bottleneck = relu_conv(12, 16, 3)
            self.encoding = ContextEncoding(16, told["num_codes"])
            self.classifier = nn.Linear(16, 10)

        def forward(self, x):
            return self.encoding(self.bottleneck(x))

    head = Head().double()
    head.load_state_dict(encnet_state(state))
    kernel = state["conv_seg.weight"].requires_grad_()

    def run(x):
        feature, encoding = head(x)
        return nn.functional.conv2d(feature, kernel, state["conv_seg.bias"]), head.classifier(encoding)

    with torch.no_grad():
        head.eval()
        logits, said = run(recording["x0"])
    close(logits, recording["test_logits"])
    close(said, recording["test_se_logits"])
    head.train()
    x = recording["x0"].requires_grad_()
    logits, said = run(x)
    close(logits, recording["train_logits"])
    close(said, recording["train_se_logits"])
    present = targets_of(recording["label"], 10).classes_present(10)
    presence = 0.2 * presence_cross_entropy(said, present)
    assert presence.item() == pytest.approx(told["losses"]["loss_se"], abs=1e-5)
    (loss_over_all_pixels(logits, recording["label"]) + presence).backward()
    close(x.grad, recording["grad_x0"])
    close(kernel.grad, recording["grad_conv_seg.weight"])


def test_essnet_is_the_originals(real_data):
    recording = Recording(real_data, "segmenter_essnet")
    told, state = recording.told, recording.state()
    cfg = told["cfg"]
    model = segmenter(told, state, 9, cfg["d_encoder"], cfg["d_model"], embed_channels=cfg["d_ess"])
    config = ESSNetConfig(neighbours=cfg["topk_cls"], published_duplicates=True)
    technique = built(config, model, 9)
    with torch.no_grad():
        close(run_model(model.eval(), [technique.eval()], recording["x"]).class_logits, recording["test_logits"])
    x, label = recording["x"].requires_grad_(), recording["label"]
    output, losses = step(model, technique, x, label, 9)
    fine = nn.functional.interpolate(output.class_logits, size=label.shape[1:], mode="bilinear")
    gathered = among_neighbours(fine, torch.where(label < 9, label, -1), cfg["topk_cls"], published=True)
    close(gathered, recording["train_gathered_logits"])
    assert losses["semantic"].item() == pytest.approx(told["loss_seg"], abs=1e-5)
    losses["semantic"].backward()
    close(x.grad, recording["grad_x"])
    assert model.decoder.class_embed.grad.norm().item() == pytest.approx(told["grad_norm"]["cls_emb"], abs=1e-5)


@pytest.fixture
def pixels() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 7, 3, 4, generator=generator)
    target = torch.randint(-1, 7, (2, 6, 9), generator=generator)
    return logits, target


def test_among_its_neighbours_by_pixels(pixels):
    """Against the sum as a loop says it: own class and the two largest others or, where it is of them, the other."""
    logits, target = pixels
    fine = nn.functional.interpolate(logits, size=target.shape[1:], mode="bilinear")
    expected = 0.0
    for image, y, x in (target >= 0).nonzero().tolist():
        values, own = fine[image, :, y, x], int(target[image, y, x])
        nearest = set(values.topk(2).indices.tolist()) | {own}
        expected += float(values[sorted(nearest)].logsumexp(0) - values[own])
    for rows in (None, 4):
        assert nearest_cross_entropy_sum(logits, target, 2, False, rows).item() == pytest.approx(expected, rel=1e-5)


def test_with_all_classes_as_neighbours_it_is_the_plain_loss_and_its_gradient(pixels):
    logits, target = (value.requires_grad_() if value.is_floating_point() else value for value in pixels)
    near, plain = nearest_cross_entropy_sum(logits, target, 100, chunk_rows=2), cross_entropy_sum(logits, target)
    torch.testing.assert_close(near, plain)
    torch.testing.assert_close(*(torch.autograd.grad(loss, logits)[0] for loss in (near, plain)))


def test_nothing_labelled_costs_nothing(pixels):
    logits, target = pixels[0].requires_grad_(), torch.full_like(pixels[1], -1)
    loss = nearest_cross_entropy_sum(logits, target, 2)
    loss.backward()
    assert loss == 0 and not logits.grad.any()


@pytest.mark.parametrize("changes", [{"neighbours": 0}, {"weight": 1.5}])
def test_settings_out_of_range(changes):
    with pytest.raises(UserError, match=r"techniques\.essnet"):
        replace(ESSNetConfig(), **changes).make()
