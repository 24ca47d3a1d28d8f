"""What every architecture must do. A test class per model inherits ``ModelContract`` and names a tiny config."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pantile.models import create_model


def named_tensors(output: object, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """Every tensor in a typed output, nested ones included."""
    if isinstance(output, Tensor):
        yield prefix, output
    elif isinstance(output, tuple):
        for i, item in enumerate(output):
            yield from named_tensors(item, f"{prefix}[{i}]")
    elif is_dataclass(output):
        for field in fields(output):
            yield from named_tensors(getattr(output, field.name), f"{prefix}.{field.name}")


def pseudo_loss(output: object) -> Tensor:
    """A scalar to which every tensor of the output contributes."""
    terms = []
    for seed, (_, tensor) in enumerate(named_tensors(output)):
        weight = torch.randn(tensor.shape, generator=torch.Generator().manual_seed(seed))
        terms.append((weight * tensor.float()).sum() / tensor.numel() ** 0.5)
    return torch.stack(terms).sum()


def randomise(model: nn.Module) -> None:
    """Leaves no weight or statistic at an initial value that hides something (zero, one)."""
    generator = torch.Generator().manual_seed(7)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            shape = module.running_mean.shape
            module.running_mean.copy_(0.1 * torch.randn(shape, generator=generator))
            module.running_var.copy_(0.5 + torch.rand(shape, generator=generator))
            module.weight.data.copy_(0.5 + torch.rand(shape, generator=generator))
            module.bias.data.copy_(0.1 * torch.randn(shape, generator=generator))


def assert_same(left: object, right: object, tolerance: float = 0.0) -> None:
    left, right = dict(named_tensors(left)), dict(named_tensors(right))
    assert left.keys() == right.keys()
    for name, tensor in left.items():
        scale = tensor.abs().max().clamp(min=1e-6)
        assert (tensor - right[name]).abs().max() <= tolerance * scale, name


class ModelContract:
    """Subclasses define ``config()`` and ``check_shapes(output, num_classes, images)``."""

    num_classes = 5
    size = (65, 97)

    def config(self):
        raise NotImplementedError

    def check_shapes(self, output: object, num_classes: int, images: Tensor) -> None:
        raise NotImplementedError

    def model(self, num_classes: int | None = None, **changes) -> nn.Module:
        torch.manual_seed(0)
        return create_model(replace(self.config(), **changes), num_classes or self.num_classes)

    def images(self, batch: int = 2, size: tuple[int, int] | None = None, channels: int = 3) -> Tensor:
        generator = torch.Generator().manual_seed(1)
        return torch.rand(batch, channels, *(size or self.size), generator=generator) * 2 - 1

    @pytest.fixture(scope="class")
    def trained_looking(self) -> nn.Module:
        """In eval mode, with random norms."""
        model = self.model().eval()
        with torch.no_grad():
            randomise(model)
        return model

    @pytest.mark.parametrize("batch", [1, 2])
    def test_every_parameter_gets_a_finite_gradient(self, batch):
        model = self.model().train()
        images = self.images(batch)
        output = model(images)
        self.check_shapes(output, self.num_classes, images)
        pseudo_loss(output).backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, f"{name} is not used"
            assert parameter.grad.isfinite().all(), name
        assert any(p.grad.abs().sum() > 0 for p in model.backbone.parameters())

    @pytest.mark.parametrize("size", [(64, 64), (65, 65), (96, 65), (71, 50), (33, 129)])
    def test_any_size(self, trained_looking, size):
        images = self.images(1, size)
        with torch.no_grad():
            output = trained_looking(images)
        self.check_shapes(output, self.num_classes, images)
        assert all(t.isfinite().all() for _, t in named_tensors(output))

    def test_one_class(self):
        model = self.model(num_classes=1).train()
        images = self.images()
        output = model(images)
        self.check_shapes(output, 1, images)
        pseudo_loss(output).backward()

    @pytest.mark.parametrize("channels", [1, 4])
    def test_other_numbers_of_bands(self, channels):
        images = self.images(1, channels=channels)
        with torch.no_grad():
            self.check_shapes(self.model(in_channels=channels).eval()(images), self.num_classes, images)

    def test_an_image_does_not_depend_on_its_batch_in_eval_mode(self, trained_looking):
        images = self.images(3)
        with torch.no_grad():
            together, alone = trained_looking(images), trained_looking(images[1:2])
        for (name, batch), (_, single) in zip(named_tensors(together), named_tensors(alone), strict=True):
            torch.testing.assert_close(batch[1:2], single, rtol=1e-3, atol=1e-4, msg=name)

    def test_eval_runs_nothing_that_only_training_needs(self, trained_looking):
        ran = []
        parts = [getattr(trained_looking, name) for name in getattr(trained_looking, "training_only", ())]
        handles = [part.register_forward_hook(lambda *_: ran.append(1)) for part in parts if part is not None]
        with torch.no_grad():
            output = trained_looking(self.images(1))
        for handle in handles:
            handle.remove()
        assert not ran
        assert getattr(output, "layers", ()) == ()

    def test_training_only_parts_are_named_right(self, trained_looking):
        state = {
            name: tensor
            for name, tensor in trained_looking.state_dict().items()
            if not name.startswith(tuple(f"{part}." for part in trained_looking.training_only))
        }
        other = self.model().eval()
        missing = other.load_state_dict(state, strict=False)
        assert not missing.unexpected_keys
        with torch.no_grad():
            assert_same(trained_looking(self.images(1)), other(self.images(1)))

    def test_save_and_load(self, trained_looking, tmp_path):
        save_file(trained_looking.state_dict(), tmp_path / "model.safetensors")
        other = self.model().eval()
        other.load_state_dict(load_file(tmp_path / "model.safetensors"))
        with torch.no_grad():
            assert_same(trained_looking(self.images()), other(self.images()))

    def test_same_seed_same_model(self):
        first, second = self.model().state_dict(), self.model().state_dict()
        assert all(torch.equal(first[name], second[name]) for name in first)

    def test_building_on_the_meta_device(self):
        with torch.device("meta"):
            model = self.model()
        assert all(p.is_meta for p in model.parameters())

    def test_weight_decay_is_for_kernels(self):
        model = self.model()
        spared = model.no_weight_decay()
        parameters = dict(model.named_parameters())
        assert spared <= parameters.keys()
        one_dimensional = {name for name, p in parameters.items() if p.ndim <= 1}
        layers = {name.removesuffix(".weight") for name in parameters.keys() - spared - one_dimensional}
        assert all(name.removesuffix(".bias") in layers for name in one_dimensional - spared), "only biases of kernels"

    def test_compiles_without_a_graph_break(self, trained_looking):
        compiled = torch.compile(trained_looking, backend="eager", fullgraph=True)
        with torch.no_grad():
            assert_same(trained_looking(self.images()), compiled(self.images()), 1e-5)

    def test_exports(self, trained_looking):
        class Tensors(nn.Module):
            def __init__(self, model):
                super().__init__()
                self.model = model

            def forward(self, images):
                return tuple(tensor for _, tensor in named_tensors(self.model(images)))

        wrapped = Tensors(trained_looking).eval()
        program = torch.export.export(wrapped, (self.images(1),))
        with torch.no_grad():
            expected, actual = wrapped(self.images(1)), program.module()(self.images(1))
        assert_same(expected, actual, 1e-5)

    def test_bfloat16_autocast(self, trained_looking):
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            output = trained_looking(self.images())
        assert all(t.isfinite().all() for _, t in named_tensors(output))
        model = self.model().train()
        with torch.autocast("cpu", torch.bfloat16):
            output = model(self.images())
        pseudo_loss(output).backward()
        assert all(p.grad.isfinite().all() for p in model.parameters())
