"""``pantile serve CKPT|FILE``"""

import argparse
import ipaddress
import sys
import threading
import time
from typing import TYPE_CHECKING

from pantile.cli.checkpoint_argument import OR_EXPORTED, add_checkpoint_argument, is_exported, opened, opened_file
from pantile.cli.device_option import add_device_argument
from pantile.cli.numbers import above_zero, at_least_one
from pantile.cli.orientation_option import add_orientation_argument
from pantile.cli.view_options import add_view_arguments, views_of

if TYPE_CHECKING:
    from pantile.predict.protocol import ImagePredictor

_LOOK = 0.1  # seconds between looks whether a signal has come


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_checkpoint_argument(parser, OR_EXPORTED)
    add_device_argument(parser)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: this machine only)")
    parser.add_argument("--port", type=int, default=8000, help="0 is any that is free (default: 8000)")
    parser.add_argument(
        "--batch", type=at_least_one, default=1, metavar="N", help="images of one size that the network sees together"
    )
    parser.add_argument("--max-mib", type=above_zero, default=32.0, metavar="N", help="of a file (default: 32)")
    parser.add_argument(
        "--max-megapixels", type=above_zero, default=50.0, metavar="N", help="of an image (default: 50)"
    )
    parser.add_argument(
        "--receive-seconds", type=above_zero, default=30.0, metavar="S", help="for a request to come (default: 30)"
    )
    parser.add_argument(
        "--wait-seconds", type=above_zero, default=60.0, metavar="S", help="for the network (default: 60)"
    )
    parser.add_argument("--connections", type=at_least_one, default=128, metavar="N", help="at a time (default: 128)")
    add_view_arguments(parser)
    add_orientation_argument(parser, "what to take of photos that their EXIF orientation turns (default: upright)")


def run(args: argparse.Namespace) -> int:
    from pantile.contracts.interruption import Wish, handling
    from pantile.serve.limits import Limits
    from pantile.serve.server import Server
    from pantile.serve.service import Service

    limits = Limits(
        upload=int(args.max_mib * 2**20),
        pixels=int(args.max_megapixels * 1e6),
        receive=args.receive_seconds,
        wait=args.wait_seconds,
        connections=args.connections,
        batch=args.batch,
    )
    service = Service(_predictor(args), limits)
    server = Server(args.host, args.port, service)
    if not _is_loopback(args.host):
        print(f"pantile: warning: whoever reaches {args.host} may use this server.", file=sys.stderr)
    wish = Wish("pantile: finishing what runs; Ctrl-C ends it at once.")
    with handling(wish):
        threading.Thread(target=server.serve_forever, args=(_LOOK,), name="accepting", daemon=True).start()
        print(server.url, flush=True)
        while wish.number is None:
            time.sleep(_LOOK)
        finished = server.end(limits.receive + limits.wait)
    return 0 if finished else 1


def _predictor(args: argparse.Namespace) -> "ImagePredictor":
    if is_exported(args.checkpoint):
        file = opened_file(args)
        from pantile.predict.exported import ExportedPredictor

        return ExportedPredictor(file, orientation=args.orientation)
    from pantile.cli.lean_imports import import_torchmetrics

    import_torchmetrics()
    from pantile.engine.devices import device_named
    from pantile.engine.measures import check_segments
    from pantile.predict import predictor_of

    device = device_named(args.device)
    checkpoint = opened(args.checkpoint, args.weights)
    check_segments(checkpoint.config, str(checkpoint.path))
    return predictor_of(checkpoint, device, views=views_of(args), orientation=args.orientation)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def interrupted(args: argparse.Namespace) -> str:
    return "the server had not begun."
