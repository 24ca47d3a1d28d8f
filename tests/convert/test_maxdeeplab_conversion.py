"""deeplab2's variables in an .npz -> ours, with files that the test makes in deeplab2's names and layouts."""

import json

import numpy as np
import pytest
import torch

from pantile.cli.main import main
from pantile.contracts.errors import UserError
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.convert.foreign_checkpoint import load_foreign
from pantile.convert.maxdeeplab_names import model_names
from pantile.convert.tensorflow_layout import to_tensorflow
from pantile.models import create_model
from pantile.recipes import make_recipe

TAXONOMY = plain_taxonomy(["road", "car", "sky", "person"], things=["car", "person"])
THEIR_ORDER = [1, 3, 0, 2, 4]  # things, stuff, no-object


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    torch.manual_seed(0)
    model = create_model(make_recipe("max_nano").model, 4).eval()
    for name, tensor in model.state_dict().items():
        if name.endswith(("running_mean", "norm.bias", "classifier.conv.bias")):
            torch.nn.init.normal_(tensor, std=0.1)
    variables = {}
    for ours, theirs in model_names(model, "max_s").items():
        tensor = model.state_dict()[ours]
        if ours.startswith("predictor.classifier"):
            tensor = tensor[THEIR_ORDER]
        if ours.startswith("auxiliary_head.classifier"):
            tensor = tensor[[4, 0, 1, 2, 3]]
        name = theirs.replace("head/", "max_deeplab_head/", 1) if theirs.startswith("head/") else theirs
        variables[f"{name}:0"] = to_tensorflow(tensor, theirs)
    path = tmp_path_factory.mktemp("npz") / "variables.npz"
    np.savez(path, **variables)
    return model, path, variables


def test_every_tensor_comes_back(made):
    model, path, _ = made
    checkpoint = load_foreign(path, "max_deeplab", TAXONOMY, "max_nano")
    state = checkpoint.part("model")
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(state[name], tensor, rtol=0, atol=0, msg=name)


def test_by_the_command_line(made, tmp_path):
    _, path, _ = made
    categories = tmp_path / "categories.json"
    categories.write_text(json.dumps(TAXONOMY.to_coco()))
    out = tmp_path / "max.safetensors"
    arguments = ["--categories", str(categories), "--recipe", "max_nano", "--out", str(out)]
    assert main(["convert", "maxdeeplab", str(path), *arguments]) == 0
    assert out.is_file()


def test_another_network_is_told(made, tmp_path):
    _, path, variables = made
    with pytest.raises(UserError, match=r"variables of max_deeplab_s_coco are missing \(first: max_s/stage2/block2"):
        load_foreign(path, "max_deeplab", TAXONOMY, "max_deeplab_s_coco")
    np.savez(tmp_path / "other.npz", **{k: v for k, v in variables.items() if "memory_feature" not in k})
    with pytest.raises(UserError, match="tensors are those of another architecture, not of max_deeplab"):
        load_foreign(tmp_path / "other.npz", "max_deeplab", TAXONOMY)
    (tmp_path / "torn.npz").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"torn.npz: cannot be read as an .npz"):
        load_foreign(tmp_path / "torn.npz", "max_deeplab", TAXONOMY)
