"""Query2Label: the contract of models, and what its decoder says by a plain statement."""

from dataclasses import replace

import pytest
import torch
from model_contract import ModelContract

from pantile.contracts.errors import UserError
from pantile.models import create_model
from pantile.models.query2label import Query2LabelConfig, query2label_nano_config

TINY = replace(query2label_nano_config(), channels=16, ffn_channels=24, dropout=0.1)


class TestContract(ModelContract):
    test_compiles_without_a_graph_break = None  # slow; its parts are those of models that are compiled

    def config(self):
        return TINY

    def check_shapes(self, output, num_classes, images):
        assert output.presence_logits.shape == (len(images), num_classes)
        assert torch.equal(output.class_logits[..., 0, 0], output.presence_logits)
        assert output.class_logits.shape[2:] == (1, 1) and output.classes is None


@torch.no_grad()
def test_the_order_of_classes_means_nothing():
    """Classes do not look at each other: other rows of the embeddings and of the classifier, other outputs alone."""
    model = create_model(TINY, 5).eval()
    images, order = torch.randn(2, 3, 64, 40), torch.tensor([3, 0, 4])
    few = create_model(TINY, 3).eval()
    state = {name: value[order] if name in model.class_heads() else value for name, value in model.state_dict().items()}
    few.load_state_dict(state)
    found, expected = (own(images).presence_logits for own in (few, model))
    torch.testing.assert_close(found, expected[:, order])


@pytest.mark.parametrize(("field", "value"), [("channels", 18), ("num_heads", 3), ("decoder_layers", 0)])
def test_sizes_that_do_not_fit(field, value):
    with pytest.raises(UserError, match=r"model\."):
        create_model(replace(TINY, **{field: value}), 3)


def test_weights_of_the_published_settings():
    """ResNet-101, width 2048, one encoder and two decoder layers without attention among classes, counted by hand."""
    with torch.device("meta"):
        model = create_model(Query2LabelConfig(), 80)
    width, inner, classes = 2048, 8192, 80
    attention = 4 * (width * width + width)
    layer = attention + (width * inner + inner) + (inner * width + width) + 2 * 2 * width
    expected = 42_500_160 + 3 * layer + 2 * width + classes * (2 * width + 1)  # torchvision's ResNet-101 without its fc
    assert sum(p.numel() for p in model.parameters()) == expected == 193_906_832
