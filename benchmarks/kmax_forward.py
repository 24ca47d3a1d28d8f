"""Time of kMaX-DeepLab's forward as a multiple of its ResNet-50's, on the same input.

    python benchmarks/kmax_forward.py [--size 641] [--threads 2] [--repeats 7]

One process, float32, eval mode, batch of one, random weights. The runs alternate, so that other load on the machine
falls on all alike; medians and the median of the per-round ratios are printed. The PyTorch kMaX-DeepLab (detectron2)
takes 3.1 times its backbone: 833 ms against 271 ms at 641x641 on two AVX-512 cores.
"""

import argparse
import statistics
import time

import timm
import torch

from pantile.models import KMaXConfig, create_model, fold_batch_norms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=641)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)

    images = torch.randn(1, 3, arguments.size, arguments.size)
    channels_last = images.contiguous(memory_format=torch.channels_last)
    resnet = timm.create_model("resnet50", features_only=True).eval()
    resnet_last = timm.create_model("resnet50", features_only=True).eval().to(memory_format=torch.channels_last)
    model = create_model(KMaXConfig(), 133).eval()
    folded = fold_batch_norms(model)
    runs = {
        "timm resnet50": lambda: resnet(images),
        "timm resnet50, channels last": lambda: resnet_last(channels_last),
        "kMaX": lambda: model(images),
        "kMaX, batch norms folded": lambda: folded(images),
    }

    seconds: dict[str, list[float]] = {name: [] for name in runs}
    with torch.inference_mode():
        for run in runs.values():
            run()
        for _ in range(arguments.repeats):
            for name, run in runs.items():
                start = time.perf_counter()
                run()
                seconds[name].append(time.perf_counter() - start)

    print(f"{arguments.size}x{arguments.size}, {arguments.threads} threads, {arguments.repeats} rounds")
    for name, times in seconds.items():
        ratios = [
            statistics.median(t / b for t, b in zip(times, seconds[base], strict=True)) for base in list(runs)[:2]
        ]
        print(
            f"{name:30s} min {1e3 * min(times):6.0f}  median {1e3 * statistics.median(times):6.0f} ms"
            f"   x resnet50 {ratios[0]:.2f}   x resnet50 channels last {ratios[1]:.2f}"
        )


if __name__ == "__main__":
    main()
