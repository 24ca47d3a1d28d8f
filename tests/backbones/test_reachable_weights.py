"""Whether public weights can be had: from the cache, from the hub, or from nowhere."""

import huggingface_hub
import huggingface_hub.utils
import pytest

from pantile.backbones import can_have_public_weights, reachable_weights


class Hub:
    """What asks the hub, in the place of a network."""

    def __init__(self, error: Exception | None) -> None:
        self.error, self.asked = error, []

    def head(self, address: str, timeout: float) -> None:
        self.asked.append((address, timeout))
        if self.error:
            raise self.error


@pytest.mark.parametrize("error", [None, OSError("no route"), RuntimeError("offline mode")])
def test_the_hub_is_asked_once_and_not_for_long(monkeypatch, error):
    hub = Hub(error)
    monkeypatch.setattr(huggingface_hub.utils, "get_session", lambda: hub)
    assert can_have_public_weights("tf_efficientnet_lite0") == (error is None)
    assert hub.asked == [(huggingface_hub.constants.ENDPOINT, reachable_weights.SECONDS)]


def test_weights_that_were_fetched_before_need_no_hub(monkeypatch, tmp_path):
    monkeypatch.setattr(reachable_weights, "_hub_answers", lambda: pytest.fail("asked"))
    cached = str(tmp_path / "model.safetensors")
    found = {("timm/resnet50.tv_in1k", "model.safetensors"): cached}
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *what: found.get(what))
    assert can_have_public_weights("resnet50.tv_in1k")


def test_backbones_without_public_weights(monkeypatch):
    monkeypatch.setattr(reachable_weights, "_hub_answers", lambda: pytest.fail("asked"))
    assert not can_have_public_weights("swidernet_1_1_4")
    assert not can_have_public_weights("test_resnet_of_nobody")
