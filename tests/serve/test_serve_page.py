"""The page in a real browser: a picture is chosen, looked at, merged again; bad ones are told."""

import numpy as np
import pytest
from PIL import Image

import pantile
from runtime.handmade_onnx import header, write_handmade
from serve.chromium import browser, program
from serve.running_server import running
from serve.test_serve_http import blocks

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")
#: colour of the canvas at a fraction of its width and height, as [red, green, blue]
COLOUR = "(([x, y]) => [...canvas.getContext('2d').getImageData(x * canvas.width, y * canvas.height, 1, 1).data])"
LIMIT = "document.querySelector('[data-name=stuff_area_limit]')"
RED, GREEN = [0.2, 0.5], [0.8, 0.2]


@pytest.mark.skipif(program() is None, reason="needs Chromium")
def test_a_picture_is_looked_at_and_merged_again(tmp_path):
    Image.fromarray(blocks(200, 300)).save(tmp_path / "house.png")
    (tmp_path / "text.png").write_bytes(b"no picture")
    predictor = pantile.load(write_handmade(tmp_path / "model.onnx", header().to_json()))
    with running(predictor, upload=100_000) as server, browser() as page:
        page.open(server.url, 1000, 800)
        page.until("state.model")
        assert page.value("document.getElementById('model').textContent").startswith("model.onnx: handmade")
        page.choose_file("#first", tmp_path / "house.png")
        page.until("state.answer && !state.sending")
        assert page.value("document.getElementById('status').textContent").startswith(
            "house.png, 300 x 200: 3 segments"
        )
        assert page.value("[...document.querySelectorAll('#classes span')].map(e => e.textContent)[0]") == "red"

        seen = np.array(page.value(f"{COLOUR}({RED})")[:3])
        expected = 0.45 * np.array([220, 10, 10]) + 0.55 * np.array(page.value("state.answer.colors[1]"))
        assert np.abs(seen - expected).max() < 3
        page.value("document.querySelector('#classes input').click()")  # red is hidden
        assert page.value(f"{COLOUR}({RED})") == [220, 10, 10, 255]
        assert page.value(f"{COLOUR}({GREEN})")[:3] != [10, 220, 10]

        x, y = page.value("(r => [r.left + r.width * .8, r.top + r.height * .2])(canvas.getBoundingClientRect())")
        page.hover(x, y)
        page.until("!document.getElementById('tip').hidden")
        assert page.value("document.getElementById('tip').textContent").startswith("green")

        page.value(f"(i => {{i.value = 20000; i.dispatchEvent(new Event('input'))}})({LIMIT})")
        page.until("state.answer.annotations[0].segments_info.length === 1")
        assert server.service._network.images == 1
        page.choose_file("#next", tmp_path / "text.png")
        page.until("document.getElementById('status').classList.contains('bad')")
        assert "text.png is not a readable image" in page.value("document.getElementById('status').textContent")
        assert all("400" in failure for failure in page.failures)  # which the browser notes of the last one

        page.open(server.url, 360, 640, phone=True)
        page.choose_file("#first", tmp_path / "house.png")
        page.until("state.answer && !state.sending")
        assert page.value("document.documentElement.scrollWidth") <= 360
