#!/usr/bin/env bash
# One would guess that EoMT in eval mode gives one answer for one image. In transformers it depends on a buffer of the
# checkpoint, attn_mask_probs: a new model has ones, so masked attention stays on in eval mode, where the paper has
# none; with entries between 0 and 1, as a checkpoint from amid a training has them, every call draws random numbers and
# two calls differ. Only zeros give the network that the published numbers belong to. And with masks on, double
# precision is not the more exact one: the default attention (sdpa) of float64 weights differs from eager attention by
# as much as the masks matter, while both agree in float32.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet torch==2.15.0 torchvision==0.29.2 transformers==5.23.0 pillow==13.0.0 scipy
"$work/venv/bin/python" -W ignore - 2>/dev/null <<'PYTHON'
import torch
import transformers
from transformers import EomtConfig, EomtForUniversalSegmentation

torch.manual_seed(0)  # of the masks that are drawn
image = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(2))


def masks(probability, calls=1, attention="eager", dtype=torch.float32):
    """Mask logits of a small random EoMT in eval mode; None leaves the buffer as a new model has it."""
    config = EomtConfig(
        hidden_size=32, num_hidden_layers=4, num_attention_heads=4, mlp_ratio=2, image_size=64, patch_size=16,
        num_blocks=2, num_queries=8, num_register_tokens=2, num_labels=5, layerscale_value=1.0,
        attn_implementation=attention,
    )
    model = EomtForUniversalSegmentation(config).to(dtype).eval()
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        parameter.data = (torch.randn(parameter.shape, generator=generator) * 0.3).to(dtype)
    if probability is not None:
        model.attn_mask_probs.fill_(probability)
    with torch.no_grad():
        return [model(pixel_values=image.to(dtype)).masks_queries_logits for _ in range(calls)]


def difference(a, b):
    return float((a - b).abs().max())


off, again = masks(0, calls=2)
new = difference(masks(None)[0], off)
half = difference(*masks(0.5, calls=2))
single, double = (
    difference(masks(1, attention="eager", dtype=t)[0], masks(1, attention="sdpa", dtype=t)[0])
    for t in (torch.float32, torch.float64)
)
print(f"transformers {transformers.__version__}, torch 2.15.0, on a CPU; mask logits up to {float(off.abs().max()):.1f}")
print(f"  a new model in eval mode against attn_mask_probs of 0: {new:.2f}")
print(f"  two calls with 0.5: {half:.2f}; with 0: {difference(off, again):.2f}")
print(f"  masks on, sdpa against eager: float32 {single:.1e}, float64 {double:.2f}")
assert new > 0.1 and half > 0.1 and difference(off, again) == 0, "this changed"
assert single < 1e-4 and double > 0.1, "this changed"
PYTHON
