"""Many clients at once, among them broken, huge and slow ones; batching; and the end of a server that works."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

import pantile
from pantile.cli.main import main
from pantile.serve.batching import Batching
from pantile.serve.kept import Kept
from pantile.serve.limits import Refused
from pantile.serve.room import Room
from runtime.handmade_onnx import header, write_handmade
from runtime.test_onnx_runtime import BLOCKED, WITHOUT
from serve.running_server import connect, refused, request, running
from serve.test_serve_http import blocks, encoded, ids_of

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_handmade(tmp_path_factory.mktemp("file") / "model.onnx", header().to_json())


@pytest.fixture
def predictor(path):
    return pantile.load(path)


def slow_down(monkeypatch, predictor) -> SimpleNamespace:
    """The network waits for ``go``; ``sizes`` are how many images it saw at a time."""
    real, seen = predictor.infer, SimpleNamespace(go=threading.Event(), begun=threading.Event(), sizes=[])

    def infer(images):
        seen.begun.set()
        assert seen.go.wait(10)
        seen.sizes.append(len(images))
        return real(images)

    monkeypatch.setattr(predictor, "infer", infer)
    return seen


def until(condition) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_broken_huge_and_slow_uploads_disturb_nobody(predictor):
    with running(predictor, upload=50_000, receive=20, batch=3) as server:
        slow, broken, huge = (socket.create_connection(server.server_address[:2]) for _ in range(3))
        slow.sendall(b"POST /predict HTTP/1.1\r\nContent-Length: 5000\r\n\r\nhalf")
        huge.sendall(b"POST /predict HTTP/1.1\r\nContent-Length: 50000000000\r\n\r\n" + bytes(100_000))
        broken.sendall(b"POST /predict HTTP/1.1\r\nContent-Length: 5000\r\n\r\nhalf")
        broken.close()

        def ask(number: int) -> tuple:
            if number % 6 == 5:
                return request(server, "/predict", b"broken")[:1]
            return request(server, "/predict?answer=png", encoded(blocks(), "PNG" if number % 2 else "BMP"))[::2]

        with ThreadPoolExecutor(8) as clients:
            answers = list(clients.map(ask, range(48)))
        assert b"413" in huge.recv(4096)
        slow.close()
        huge.close()
    good = [answer for answer in answers if answer[0] == 200]
    assert len(good) == 40 and {answer[0] for answer in answers} == {200, 400}
    assert all(np.array_equal(ids_of(png), predictor(blocks()).map) for _, png in good)


def test_images_that_wait_together_go_together_and_a_bad_one_fails_alone(predictor, monkeypatch):
    seen = slow_down(monkeypatch, predictor)
    batching = Batching(predictor, most=3)
    images = [blocks(), blocks(), blocks() // 2, blocks(30, 40), blocks()]
    with ThreadPoolExecutor(8) as clients:
        first = clients.submit(batching.run, blocks(), time.monotonic() + 10)
        assert seen.begun.wait(10)
        others = []
        for number, image in enumerate(images, start=1):
            others.append(clients.submit(batching.run, image, time.monotonic() + 10))
            until(lambda number=number: batching.waiting == number)
        seen.go.set()
        results = [future.result() for future in (first, *others)]
    assert seen.sizes == [1, 3, 2] and (batching.batches, batching.images) == (3, 6)  # all sizes fit one input here
    for image, one in zip([blocks(), *images], results, strict=True):
        assert one.image is not None and np.array_equal(predictor.merge(one).map, predictor(image).map)

    real = predictor.infer
    monkeypatch.setattr(predictor, "infer", lambda ims: real(ims) if all(i.any() for i in ims) else [][0])
    seen.go.clear(), seen.begun.clear()
    with ThreadPoolExecutor(8) as clients:
        first = clients.submit(batching.run, blocks(), time.monotonic() + 10)
        assert seen.begun.wait(10)
        good, bad = (clients.submit(batching.run, i, time.monotonic() + 10) for i in (blocks(), 0 * blocks()))
        until(lambda: batching.waiting == 2)
        seen.go.set()
        assert good.result().output and isinstance(bad.exception(), IndexError)
    batching.end()


def test_who_waits_too_long_is_told(predictor, monkeypatch):
    seen = slow_down(monkeypatch, predictor)
    with running(predictor, wait=0.2, connections=3) as server, ThreadPoolExecutor(4) as clients:
        first = clients.submit(request, server, "/predict", encoded(blocks()))
        assert seen.begun.wait(10)
        assert "more images to predict than it can" in refused(server, 503, "/predict", encoded(blocks()))
        held = [connect(server) for _ in range(2)]
        for connection in held:
            connection.connect()
        until(lambda: server._connections == 3)
        status, headers, content = request(server, "/health")
        assert (status, headers["Retry-After"]) == (503, "1") and "as many connections" in content["error"]
        seen.go.set()
        assert first.result()[0] == 200
        for connection in held:
            connection.close()


def test_an_end_finishes_what_runs_and_closes_what_idles(predictor, monkeypatch):
    seen = slow_down(monkeypatch, predictor)
    with running(predictor) as server, ThreadPoolExecutor(4) as clients:
        idle = connect(server)
        idle.request("GET", "/health")
        idle.getresponse().read()
        asked = [clients.submit(request, server, "/predict", encoded(blocks())) for _ in range(2)]
        assert seen.begun.wait(10)
        until(lambda: server.service._network.waiting == 1)
        ended = clients.submit(server.end, 10)
        until(lambda: server.ending)
        assert not ended.done() and idle.sock.recv(1) == b""
        with pytest.raises(ConnectionError):
            connect(server).connect()
        seen.go.set()
        for answer in asked:
            status, headers, _ = answer.result()
            assert status == 200 and headers["Connection"] == "close"
        assert ended.result()


def test_room_is_waited_for_but_not_for_ever():
    room = Room(10, "pixels")
    with room.holding(6, time.monotonic()):
        with pytest.raises(Refused, match="as many pixels as it may"), room.holding(5, time.monotonic() + 0.01):
            pass
        with room.holding(4, time.monotonic()):
            pass
    with room.holding(10, time.monotonic()):
        pass


def test_the_image_that_nobody_asked_for_the_longest_goes_first():
    images = [SimpleNamespace(nbytes=4) for _ in range(3)]
    kept = Kept(10)
    a, b = (kept.keep(name, image) for name, image in zip("ab", images, strict=False))
    assert kept.find(a) == ("a", images[0])
    c = kept.keep("c", images[2])
    assert kept.find(a)[1] is images[0] and kept.find(c)[1] is images[2]
    with pytest.raises(Refused, match="kept no longer"):
        kept.find(b)


def test_places_where_nobody_can_listen_are_told(path, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for options in (["--port", str(port)], ["--port", "70000"], ["--host", "192.0.2.1", "--port", "0"]):
            assert main(["serve", str(path), *options]) == 2
            assert capsys.readouterr().err.splitlines()[-1].endswith("; name others with --host and --port.")


def test_the_verb_serves_without_torch_and_ends_well_on_sigterm(path):
    code = WITHOUT.replace("{blocked}", " ".join(BLOCKED.split())) + (
        f"from pantile.cli.main import main\nsys.exit(main(['serve', {str(path)!r}, '--port', '0']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    )
    try:
        found = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/\n", process.stdout.readline())
        assert found, process.stderr.read()
        server = SimpleNamespace(server_address=("127.0.0.1", int(found[1])))
        assert request(server, "/predict", encoded(blocks()))[0] == 200
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 0 and "finishing what runs" in err and "Traceback" not in err, err
