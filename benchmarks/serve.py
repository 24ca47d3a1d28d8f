"""`pantile serve` under load: 200 requests from 8 clients, and the latency of one client beside a bare predictor.

    python benchmarks/serve.py CKPT_OR_FILE PHOTOS [--requests 200] [--clients 8] [--rounds 20] [--batch 1]

Starts the verb as a process of its own on a free port. Alone, a request and `predictor(bytes)` in this process take
turns over the same photos; both decode the file. The claim is a median of at most 1.15 times the predictor's. Under
load a client that sends half a file, one that sends no image and one that announces 50 GB are there as well.
"""

import argparse
import http.client
import os
import re
import socket
import statistics
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path

import pantile
from turns import alternating_medians


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("photos", type=Path)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--batch", type=int, default=1)
    args = parser.parse_args()
    images = [path.read_bytes() for path in sorted(args.photos.glob("*.jpg"))[: args.rounds]]
    command = [sys.executable, "-m", "pantile", "serve", args.model, "--port", "0", "--batch", str(args.batch)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        port = int(re.search(r":(\d+)/", process.stdout.readline())[1])
        show_alone(args.model, port, images, args.rounds)
        show_load(port, images, args.requests, args.clients)
    finally:
        process.terminate()
        print(f"exit code after SIGTERM: {process.wait(60)}; load average {os.getloadavg()[0]:.1f}")


def show_alone(model: str, port: int, images: list[bytes], rounds: int) -> None:
    predictor, connection = pantile.load(model), http.client.HTTPConnection("127.0.0.1", port)
    first, second = cycle(images), cycle(images)
    calls = {"predictor": lambda: predictor(next(first)), "request": lambda: ask(connection, next(second))}
    medians = alternating_medians(calls, rounds)
    ratio = medians["request"] / medians["predictor"]
    print(f"alone, {rounds} rounds: " + ", ".join(f"{name} {1e3 * s:.1f} ms" for name, s in medians.items()), end="")
    print(f", ratio {ratio:.3f} (claim: 1.15)", flush=True)


def show_load(port: int, images: list[bytes], requests: int, clients: int) -> None:
    slow = half_sent(port, b"5000", b"half a file")
    huge = half_sent(port, b"50000000000", bytes(100_000))

    def one(image: bytes) -> tuple[int, float]:
        start = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
        status = ask(connection, image)
        connection.close()
        return status, time.perf_counter() - start

    start = time.perf_counter()
    with ThreadPoolExecutor(clients + 1) as pool:
        broken = pool.submit(one, b"no image")
        answers = list(pool.map(one, islice(cycle(images), requests)))
    seconds = time.perf_counter() - start
    times = sorted(each for _, each in answers)
    print(f"{requests} requests, {clients} clients: statuses {dict(Counter(status for status, _ in answers))}", end="")
    print(f", {requests / seconds:.1f} a second, median {statistics.median(times):.2f} s, longest {times[-1]:.2f} s")
    print(f"beside them: no image {broken.result()[0]}, huge {huge.recv(12).decode()[9:]}")
    slow.close()
    huge.close()


def half_sent(port: int, length: bytes, start: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(b"POST /predict HTTP/1.1\r\nContent-Length: " + length + b"\r\n\r\n" + start)
    return connection


def ask(connection: http.client.HTTPConnection, image: bytes) -> int:
    connection.request("POST", "/predict", image)
    answer = connection.getresponse()
    answer.read()
    return answer.status


if __name__ == "__main__":
    main()
