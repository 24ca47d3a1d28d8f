"""Whether timm's weights of a backbone can be had: asked before a plan builds on them."""

from pantile.backbones.registry import public_weights

FILES = ("model.safetensors", "pytorch_model.bin")
SECONDS = 5.0


def can_have_public_weights(name: str) -> bool:
    """True where they were fetched before or Hugging Face's hub answers within ``SECONDS``.

    timm itself, asked for weights without a network, tries again for most of a minute.

    Args:
        name: of a backbone, with or without a tag.
    """
    known = public_weights(name)
    return known is not None and bool(known.hf_hub_id) and (_is_cached(known.hf_hub_id) or _hub_answers())


def _is_cached(repository: str) -> bool:
    from huggingface_hub import try_to_load_from_cache

    return any(isinstance(try_to_load_from_cache(repository, file), str) for file in FILES)


def _hub_answers() -> bool:
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session

    try:
        get_session().head(constants.ENDPOINT, timeout=SECONDS)
    except Exception:  # that of the client which this huggingface_hub has, requests' or httpx'; no answer is the answer
        return False
    return True
