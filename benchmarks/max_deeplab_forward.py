"""Forward time of MaX-DeepLab-S beside its yardstick, a ResNet-50, and of CMT-DeepLab with RFN beside CMT-DeepLab.

    python benchmarks/max_deeplab_forward.py [--size 641] [--threads 2] [--repeats 5] [--profile]

One process, float32, eval mode, a batch of one, random weights, batch norms folded into what precedes them. The calls
take turns, so that other load on the machine falls on all alike; medians, and claims about their ratios. MaX-S has
about 3.7 times the multiply-adds of the ResNet-50. ``--profile`` also prints where MaX-S spends its time.
"""

import argparse

import timm
import torch
from torch.profiler import ProfilerActivity, profile

from claims import Claims
from pantile.models import create_model, fold_batch_norms
from pantile.recipes import make_recipe
from turns import alternating_medians

CLASSES = 133
NAMES = ("max_deeplab_s_coco", "cmt_deeplab_axial_r104_coco", "cmt_deeplab_axial_r104_rfn_coco")


def network(recipe: str) -> torch.nn.Module:
    config = make_recipe(recipe).model
    config.pretrained = False
    return fold_batch_norms(create_model(config, CLASSES).eval())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=641)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    images = torch.randn(1, 3, arguments.size, arguments.size)
    resnet = timm.create_model("resnet50", features_only=True).eval()
    models = {name: network(name) for name in NAMES}
    with torch.inference_mode():
        calls = {"resnet50": lambda: resnet(images)}
        calls |= {name: (lambda model=model: model(images)) for name, model in models.items()}
        seconds = alternating_medians(calls, arguments.repeats)
        print(f"{arguments.size}x{arguments.size}, {arguments.threads} threads, medians of {arguments.repeats} rounds")
        for name, median in seconds.items():
            print(f"  {name:34} {1e3 * median:7.0f} ms   x resnet50 {median / seconds['resnet50']:.2f}", flush=True)
        if arguments.profile:
            with profile(activities=[ProfilerActivity.CPU]) as recorded:
                calls[NAMES[0]]()
            print(recorded.key_averages().table(sort_by="self_cpu_time_total", row_limit=14, max_name_column_width=40))
    small, deep, recursive = (seconds[name] for name in NAMES)
    claims = Claims()
    claims.at_most("time of MaX-DeepLab-S, in ResNet-50s", small / seconds["resnet50"], 3.2)
    claims.at_most("time of CMT-DeepLab with RFN, in CMT-DeepLabs", recursive / deep, 2.1)
    claims.finish()


if __name__ == "__main__":
    main()
