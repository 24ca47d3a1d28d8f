"""EoMT in runs: fine-tuning from a folder in the public layout, mask annealing over a run that is interrupted."""

from dataclasses import replace

import pytest
import torch
from lightning.pytorch.callbacks import Callback

from models.huggingface import huggingface_eomt
from pantile.cli.main import main
from pantile.contracts.errors import UserError
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.data import Scenes
from pantile.engine.checkpoint import load_checkpoint
from pantile.engine.optimizer import learning_rate_factor, parameter_groups
from pantile.engine.train import train
from pantile.engine.transfer import check_share, transfer
from pantile.models.eomt import EoMT, eomt_nano_config
from pantile.recipes import make_recipe
from tiny_runs import make_tiny_config

SCENES = Scenes(3, size=(32, 32), seed=3)
TINY = replace(
    eomt_nano_config(), image_size=(32, 32), channels=32, layers=3, num_heads=2, ffn_channels=48, num_queries=9,
    query_layers=2, mask_annealing=((0.0, 0.5), (0.25, 1.0)),
)  # fmt: skip
CLASSES = plain_taxonomy(["road", "car", "person"], things=["car", "person"])


def tiny_run(steps: int = 4):
    config = make_tiny_config("eomt_nano")
    config.model = replace(TINY)
    config.augment.crop = config.evaluation_size = (32, 32)
    config.training = replace(config.training, steps=steps, effective_batch=2, validation_images=0)
    return config


class Probabilities(Callback):
    """What each step trains with; ends the run before step ``last``."""

    def __init__(self, last: int | None = None):
        self.seen, self.last = [], last

    def on_before_backward(self, trainer, task, loss):
        self.seen.append(task.model.mask_probabilities)
        if trainer.global_step == self.last:
            raise ConnectionAbortedError


def test_masks_are_annealed_and_a_resumed_run_repeats(tmp_path):
    whole, first, second = Probabilities(), Probabilities(last=2), Probabilities()
    config = tiny_run()
    train(config, SCENES, SCENES, tmp_path / "whole", callbacks=[whole])
    assert whole.seen[0] == (1.0, 1.0) and whole.seen[2] == pytest.approx((0.0, (1 - 1 / 3) ** 0.9))
    config = tiny_run()
    config.training.checkpoint_minutes = 0.0
    with pytest.raises(ConnectionAbortedError):
        train(config, SCENES, SCENES, tmp_path / "cut", callbacks=[first])
    train(config, SCENES, SCENES, tmp_path / "cut", callbacks=[second], resume=True)
    done = 4 - len(second.seen)
    assert done in (1, 2) and first.seen[:done] + second.seen == whole.seen
    weights = (load_checkpoint(tmp_path / name).part("model") for name in ("whole", "cut"))
    one, other = weights
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A folder as the hub has them, of classes that scenes have none of but COCO has."""
    folder = tmp_path_factory.mktemp("hub") / "hf"
    names = list(CLASSES.names)
    theirs = huggingface_eomt("eomt", 3, id2label=dict(enumerate(names)), label2id={n: k for k, n in enumerate(names)})
    theirs.save_pretrained(folder)
    return folder


def test_fine_tuning_from_a_folder_of_the_hub(hub, tmp_path, capfd):
    sizes = {"patch_size": 8, "channels": 32, "layers": 4, "num_heads": 2, "ffn_channels": 128, "query_layers": 2}
    sizes |= {"num_queries": 9, "mask_annealing": "[]", "image_size": "[32,32]"}  # more queries, smaller images
    run = {"steps": 1, "effective_batch": 2, "workers": 0, "validation_images": 1}
    settings = [f"model.{name}={value}" for name, value in sizes.items()]
    settings += [f"training.{name}={value}" for name, value in run.items()]
    settings += ["augment.crop=[32,32]", "evaluation_size=[32,32]", "criterion.points=64"]
    command = ["train", "eomt_b_coco", "--init", str(hub), "--data", "scenes:2", "--out", str(tmp_path / "run")]
    assert main([*command, "--set", *settings]) == 0
    told = capfd.readouterr().err
    assert "queries" in told and "7 -> 9" in told
    checkpoint = load_checkpoint(tmp_path / "run")
    assert checkpoint.config.model.num_queries == 9
    assert checkpoint.part("model")["backbone.pos_embed"].shape == (1, 16, 32)


def model(classes=3, **changes) -> EoMT:
    return EoMT(replace(TINY, **changes), classes)


def test_positions_and_queries_of_other_numbers():
    old, new = model(), model(image_size=(64, 48), num_queries=12)
    report = transfer(new, CLASSES, old.state_dict(), CLASSES)
    assert set(report.resized) == {"backbone.pos_embed", "query"} and not report.new
    assert torch.equal(new.query[:9], old.query)
    table = old.backbone.pos_embed.view(1, 4, 4, 32).permute(0, 3, 1, 2)
    wanted = torch.nn.functional.interpolate(table, (8, 6), mode="bicubic").flatten(2).transpose(1, 2)
    assert torch.allclose(new.backbone.pos_embed, wanted)


@pytest.mark.parametrize(("field", "value"), [("patch_size", 4), ("registers", 2)])
def test_another_patch_or_register_count_is_told(field, value):
    report = transfer(model(), CLASSES, model(**{field: value}, image_size=(32, 32)).state_dict(), CLASSES)
    with pytest.raises(UserError, match="is of another network: backbone") as error:
        check_share(report, 0.5, "weights")
    assert "model" in str(error.value) and "\n" not in str(error.value)
    check_share(report, 0.0, "weights")


def test_learning_rates_of_the_blocks():
    config = make_recipe("eomt_l_coco").optimizer
    for slow, expected in ((True, (0.64, 0.8, 1.0)), (False, (0.64, 1.0, 1.0))):
        network = model(slow_query_layers=slow)
        groups = parameter_groups(network, torch.nn.ModuleDict(), config)
        rate = {id(p): group["lr"] for group in groups for p in group["params"]}
        found = [rate[id(block.attn.qkv.weight)] for block in network.backbone.blocks]
        assert found == pytest.approx([1e-4 * share for share in expected])
        assert rate[id(network.backbone.patch_embed["proj"].weight)] == found[0]
        assert rate[id(network.backbone.norm.weight)] == rate[id(network.query)] == 1e-4


def test_the_vit_warms_up_after_the_heads():
    """(1 - (step - 1500) / (88692 - 1500)) ** 0.9 from step 1500 on."""
    config = make_recipe("eomt_l_coco")
    steps = config.training.steps
    factors = [
        learning_rate_factor(step, steps, config.optimizer, in_backbone=True) for step in (0, 499, 1000, 1500, 45_096)
    ]
    assert factors == pytest.approx([0, 0, 0.5, 1, 0.5**0.9])
