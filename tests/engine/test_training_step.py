"""One training step of the whole: techniques, criterion, gradients; what must change nothing; what must stop."""

from dataclasses import replace

import pytest
import torch

from pantile.engine.config import override
from pantile.engine.loaders import training_loader
from pantile.engine.task import NonFiniteLoss, PanopticTask
from pantile.engine.train import make_trainer, train
from pantile.techniques import ReClassConfig, ReMaskConfig, TechniquesConfig
from tiny_runs import make_tiny_config


def make_batch(config, dataset):
    return next(iter(training_loader(dataset, config)))


def losses_and_gradients(config, dataset):
    torch.manual_seed(7)
    task = PanopticTask(config, dataset.taxonomy).train()
    batch = make_batch(config, dataset)
    torch.manual_seed(8)
    losses, _ = task.losses(*batch)
    sum(losses.values()).backward()
    return losses, {name: p.grad for name, p in task.model.named_parameters()}


@pytest.mark.parametrize(
    "off",
    [
        TechniquesConfig(remask=ReMaskConfig(weight=0.0)),
        TechniquesConfig(reclass=ReClassConfig(eta=0.0)),
        TechniquesConfig(remask=ReMaskConfig(stages=0), reclass=ReClassConfig(eta=0.0)),
    ],
)
def test_weight_zero_equals_absence_to_the_last_bit(tiny_scenes, off):
    config = make_tiny_config()
    absent, absent_gradients = losses_and_gradients(replace(config, techniques=TechniquesConfig()), tiny_scenes)
    losses, gradients = losses_and_gradients(replace(config, techniques=off), tiny_scenes)
    assert {k: v.item() for k, v in losses.items()} == {k: v.item() for k, v in absent.items()}
    for name, gradient in absent_gradients.items():
        assert torch.equal(gradient, gradients[name]), name


def activation(name):
    return [f"{field}={name}" for field in ("criterion.mask_activation", "techniques.remask.activation",
                                            "techniques.reclass.activation")]  # fmt: skip


SETTINGS = {
    "Table 2, sigmoid": [],
    "Table 2, softmax": activation("softmax"),
    "Table 2, without ReMaX": ["techniques.remask=null", "techniques.reclass=null", "optimizer.gradient_clip=0.01"],
    "Table 3, one stage": ["techniques.remask.stages=1"],
    "Table 3, all stages": ["techniques.remask.stages=3"],
    "Table 4, eta": ["techniques.reclass.eta=0.2"],
    "Table 5, no identity": ["techniques.remask.identity=false"],
    "Table 5, at test": ["techniques.remask.steer=true", "techniques.remask.at_test=true"],
    "Table 7, no stop-gradient": ["techniques.remask.stop_gradient=false"],
    "Table 7, ground truth": ["techniques.remask.source=ground_truth"],
    "Table 8, no masking": ["techniques.remask.masking=false"],
    "Table 8, no ReClass": ["techniques.reclass=null"],
    "the wider feature": ["techniques.remask.feature=pixel_feature"],
    "softmax L_sem": ["techniques.remask.semantic_kind=softmax"],
}  # fmt: skip


@pytest.mark.parametrize("assignments", SETTINGS.values(), ids=SETTINGS.keys())
def test_every_row_of_the_papers_ablations_trains_a_step(tiny_scenes, assignments):
    layers = "model.transformer_layers=[1,1,1]"  # of which the techniques may take all
    config = override(make_tiny_config(), [layers, *activation("sigmoid"), *assignments])
    losses, gradients = losses_and_gradients(config, tiny_scenes)
    assert all(torch.isfinite(value) for value in losses.values())
    assert all(gradient is not None and torch.isfinite(gradient).all() for gradient in gradients.values())


def test_every_parameter_gets_a_gradient_also_without_any_segment(tiny_scenes):
    """Under DDP a parameter without gradient hangs the job."""
    config = make_tiny_config()
    torch.manual_seed(0)
    task = PanopticTask(config, tiny_scenes.taxonomy).train()
    images, targets = make_batch(config, tiny_scenes)
    empty = replace(
        targets, ids=torch.zeros_like(targets.ids), classes=targets.classes[:, :0], crowd=targets.crowd[:, :0]
    )
    losses, _ = task.losses(images, empty)
    sum(losses.values()).backward()
    for name, parameter in task.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name


def test_training_changes_nothing_at_inference(tiny_scenes):
    """With and without ReMaX: the same parameters in the model and the same outputs."""
    config = make_tiny_config()
    torch.manual_seed(7)
    plain = PanopticTask(replace(config, techniques=TechniquesConfig()), tiny_scenes.taxonomy).eval()
    torch.manual_seed(7)
    remax = PanopticTask(config, tiny_scenes.taxonomy).eval()
    assert [n for n, _ in plain.model.named_parameters()] == [n for n, _ in remax.model.named_parameters()]
    images = make_batch(config, tiny_scenes)[0]
    with torch.inference_mode():
        one, other = plain(images), remax(images)
    assert torch.equal(one.mask_logits, other.mask_logits)
    assert torch.equal(one.class_logits, other.class_logits)
    assert other.layers == () and other.semantic_logits is None


def train_one_broken_step(task, config, dataset) -> str:
    import lightning as L

    trainer = L.Trainer(max_steps=1, accelerator="cpu", logger=False, enable_checkpointing=False,
                        enable_progress_bar=False, enable_model_summary=False)  # fmt: skip
    with pytest.raises(NonFiniteLoss) as error:
        trainer.fit(task, training_loader(dataset, config))
    return str(error.value)


def test_a_non_finite_loss_names_term_images_and_learning_rate(tiny_scenes):
    config = make_tiny_config()
    task = PanopticTask(config, tiny_scenes.taxonomy)
    torch.nn.init.constant_(task.techniques["remask"].heads[0].classify.bias, float("nan"))
    message = train_one_broken_step(task, config, tiny_scenes)
    assert "remask_semantic = nan" in message
    assert "at learning rate 3e-05" in message
    assert sum(tiny_scenes.name_of(i) in message for i in range(len(tiny_scenes))) == 4


def test_outputs_that_cannot_be_matched_are_explained_the_same_way(tiny_scenes):
    config = make_tiny_config()
    task = PanopticTask(config, tiny_scenes.taxonomy)
    torch.nn.init.constant_(task.model.predictor.mask_norm.weight, float("nan"))
    message = train_one_broken_step(task, config, tiny_scenes)
    assert "mask logits" in message
    assert "at learning rate 3e-05" in message


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_gradients_are_clipped_to_the_norm(tiny_scenes, tmp_path, precision, monkeypatch):
    norms = []

    def watched(task, optimizer, **options):
        original(task, optimizer, **options)
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        norms.append(torch.nn.utils.get_total_norm(gradients).item())

    original = PanopticTask.configure_gradient_clipping
    monkeypatch.setattr(PanopticTask, "configure_gradient_clipping", watched)
    config = make_tiny_config()
    config.training.precision, config.training.steps = precision, 2
    config.optimizer.gradient_clip = 0.01
    train(config, tiny_scenes, tiny_scenes, tmp_path / "run")
    assert norms == pytest.approx([0.01, 0.01], rel=1e-3)


@pytest.mark.parametrize(("gpu", "expected"), [(False, "32-true"), (True, "bf16-mixed")])
def test_precision_follows_the_device_unless_it_is_named(gpu, expected, monkeypatch):
    """bf16 is emulated on many CPUs, where it makes a step of the nano models a third slower."""
    asked = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr("pantile.engine.train.L.Trainer", lambda **options: asked.append(options["precision"]))
    config = make_tiny_config()
    for precision in ("auto", "fp32", "bf16"):
        config.training.precision = precision
        make_trainer(config)
    assert asked == [expected, "32-true", "bf16-mixed"]
