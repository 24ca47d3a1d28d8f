"""What the server answers: to images, to bad input, to thresholds; with an exported file, and with a checkpoint."""

import base64
import io
import socket
import time

import numpy as np
import pytest
from PIL import Image

import pantile
from pantile.data import Scenes
from pantile.engine.task import PanopticTask
from pantile.predict import Predictor
from runtime.forged_png import png_that_claims
from runtime.handmade_onnx import header, write_handmade
from serve.running_server import connect, refused, request, running
from tiny_runs import make_tiny_config

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")
LIMITS = {"upload": 100_000, "pixels": 200 * 300, "receive": 0.5}


def encoded(image: np.ndarray, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind)
    return file.getvalue()


def blocks(height: int = 64, width: int = 96) -> np.ndarray:
    image = np.full((height, width, 3), 10, np.uint8)
    image[:, : width // 2, 0] = image[: height // 2, width // 2 :, 1] = 220
    image[height // 2 :, width // 2 :, 2] = 220
    return image


def ids_of(png: bytes) -> np.ndarray:
    rgb = np.asarray(Image.open(io.BytesIO(png))).astype(np.int32)
    return rgb @ np.array([1, 256, 65536])


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    return pantile.load(write_handmade(tmp_path_factory.mktemp("file") / "model.onnx", header().to_json()))


@pytest.fixture(scope="module")
def server(predictor):
    with running(predictor, **LIMITS) as server:
        yield server


@pytest.fixture(scope="module")
def checkpoint_server():
    scenes = Scenes(1, size=(65, 65), seed=3)
    with running(Predictor(PanopticTask(make_tiny_config("segmenter_nano"), scenes.taxonomy))) as server:
        yield server


def test_an_image_becomes_coco_panoptic_json_with_its_png(server, predictor):
    image = blocks()
    status, headers, content = request(server, "/predict?name=house.png", encoded(image))
    assert status == 200 and headers["Content-Type"] == "application/json"
    expected = predictor(image)
    assert len(expected.segments) == 3
    assert content | {"png": ""} == expected.coco_file("house.png", "house.png") | {"png": ""}
    assert np.array_equal(ids_of(base64.b64decode(content["png"])), expected.map)


def test_a_checkpoint_is_served_as_well(checkpoint_server):
    image = Scenes(1, size=(65, 65), seed=3).load_image(0)
    predictor = checkpoint_server.service.predictor
    status, _, png = request(checkpoint_server, "/predict?answer=png", encoded(image))
    assert status == 200 and np.array_equal(ids_of(png), predictor(image).map)
    assert np.unique(ids_of(png)).size > 1


def test_other_answers(server):
    status, headers, picture = request(server, "/predict?answer=overlay", encoded(blocks(), "JPEG"))
    assert status == 200 and headers["Content-Type"] == "image/jpeg"
    assert Image.open(io.BytesIO(picture)).size[1] >= 64
    status, headers, nothing = request(server, "/health", method="HEAD")
    assert status == 200 and int(headers["Content-Length"]) > 0 and nothing == b""


def test_thresholds_are_changed_by_merging_again(server):
    body = encoded(blocks())
    _, _, kept = request(server, "/predict?keep=1&name=a.png", body)
    assert len(kept["annotations"][0]["segments_info"]) == 3 and len(kept["colors"]) == 4
    runs = server.service._network.batches
    for limit, segments in (("3000", 1), ("1500", 2), ("0", 3)):
        options = f"stuff_area_limit={limit}&thing_area_limit={limit}"
        _, _, again = request(server, f"/merge/{kept['kept']}?{options}", b"")
        if segments != 2:  # red covers half, green and blue a quarter each
            assert len(again["annotations"][0]["segments_info"]) == segments
        assert again["annotations"][0]["file_name"] == "a.png"
        assert server.service._network.batches == runs
        _, _, fresh = request(server, f"/predict?name=a.png&{options}", body)
        assert fresh["annotations"] == again["annotations"] and fresh["png"] == again["png"]
        runs += 1
    assert "send it again" in refused(server, 404, "/merge/misspelt", b"")


def test_what_the_page_needs(server):
    status, headers, page = request(server, "/")
    assert status == 200 and headers["Content-Type"].startswith("text/html") and b"Drop a picture" in page
    _, _, model = request(server, "/model")
    assert [c["name"] for c in model["classes"]] == ["red", "green", "blue"] and "handmade" in model["model"]
    names = {t["name"]: t["whole"] for t in model["thresholds"]}
    assert names == {"stuff_area_limit": True, "thing_area_limit": True}
    assert model["limits"] == {"bytes": LIMITS["upload"], "pixels": LIMITS["pixels"]}


def test_health_and_metrics(server):
    assert request(server, "/health")[2] == {"status": "ok"}
    request(server, "/predict", encoded(blocks()))
    request(server, "/predict", b"no image")
    text = request(server, "/metrics")[2].decode()
    counts = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    done = int(counts['pantile_requests_total{path="/predict",status="200"}'])
    assert done > 0 and int(counts['pantile_requests_total{path="/predict",status="400"}']) > 0
    assert (
        int(counts["pantile_predict_seconds_count"]) == done == int(counts['pantile_predict_seconds_bucket{le="+Inf"}'])
    )
    assert float(counts["pantile_waiting_images"]) == 0 < float(counts["pantile_network_images"])


@pytest.mark.parametrize(
    ("status", "path", "body", "sentence"),
    [
        (400, "/predict", b"no image at all", "image is not a readable image"),
        (400, "/predict?name=a.jpg", encoded(blocks(), "JPEG")[:700], "a.jpg does not decode"),
        (400, "/predict", b"", "has no body: send the image file itself"),
        (413, "/predict?name=big.png", bytes(100_001), "more than the 0.0953674 MiB that are taken"),
        (
            413,
            "/predict?name=bomb.png",
            png_that_claims(30_000, 30_000),
            "bomb.png has 30000 x 30000 pixels, more than the 0.06 mi",
        ),
        (400, "/predict?name=bomb.png", png_that_claims(60_000, 60_000), "bomb.png has 60000 x 60000 pixels"),
        (400, "/predict?name=../../a.png", b"x", "without folders"),
        (400, "/predict?name=a%2Fb", b"x", "without folders"),
        (400, "/predict?name=..", b"x", "without folders"),
        (400, "/predict?answer=films", b"x", "give one of json, png, overlay"),
        (400, "/predict?thing_area_limit=few", b"x", "give a whole number, such as 0"),
        (400, "/predict?thing_area_limit=-1", b"x", "give a number of pixels from 0 on"),
        (400, "/predict?chunk_rows=1", b"x", "thresholds are: stuff_area_limit, thing_area_limit"),
        (404, "/../../etc/passwd", None, "nothing at this address"),
        (404, "/%2e%2e/page.html", None, "nothing at this address"),
        (404, "/serve/page.html", None, "nothing at this address"),
        (405, "/predict", None, "GET is not what this address takes"),
        (405, "/model", b"x", "POST is not what this address takes"),
    ],
    ids=lambda value: "body" if isinstance(value, bytes) else None,
)
def test_bad_requests_are_answered_in_one_sentence(server, status, path, body, sentence):
    assert sentence in refused(server, status, path, body)
    assert request(server, "/health")[0] == 200


def test_bad_heads(server):
    assert (
        "this is a form"
        in refused(server, 415, "/predict", b"x", **{"Content-Type": "multipart/form-data; boundary=b"}).lower()
    )
    assert "Content-Length" in refused(server, 411, "/predict", None, method="POST", **{"Transfer-Encoding": "chunked"})
    assert "MiB" in refused(
        server, 413, "/predict", None, method="POST", **{"Expect": "100-continue", "Content-Length": "999999"}
    )
    assert "takes no body" in refused(server, 413, "/health", bytes(70_000), method="GET")
    with socket.create_connection(server.server_address[:2]) as raw:
        raw.sendall(b"\x16\x03\x01 no HTTP\r\n\r\n")
        assert b'{"error": "' in raw.makefile("rb").read()


def test_a_connection_answers_one_request_after_the_other(server):
    connection = connect(server)
    for body, status in ((encoded(blocks()), 200), (b"no image", 400), (encoded(blocks()), 200)):
        connection.request("POST", "/predict", body)
        answer = connection.getresponse()
        assert answer.status == status and answer.read()
        assert answer.headers["Connection"] is None
    connection.close()


def test_a_fault_of_ours_ends_one_request_and_is_logged(server, predictor, monkeypatch, capsys):
    def fails(images):
        raise RuntimeError("a layer broke")

    with monkeypatch.context() as patch:
        patch.setattr(predictor, "infer", fails)
        assert "its log says how" in refused(server, 500, "/predict", encoded(blocks()))
    assert "a layer broke" in capsys.readouterr().err
    assert request(server, "/predict", encoded(blocks()))[0] == 200


def test_a_request_that_drips_in_is_ended_in_time(server):
    start = time.monotonic()
    with socket.create_connection(server.server_address[:2]) as raw:
        raw.settimeout(5)
        raw.sendall(b"POST /predict HTTP/1.1\r\nContent-Length: 5000\r\n\r\n")
        answer = b""
        while b"in time" not in answer and time.monotonic() - start < 5:
            raw.sendall(b"x")  # each byte would begin a time limit of the socket anew
            raw.settimeout(0.05)
            try:
                answer += raw.recv(4096)
            except TimeoutError:
                continue
    assert b"The request was not here in time" in answer and time.monotonic() - start < 3
