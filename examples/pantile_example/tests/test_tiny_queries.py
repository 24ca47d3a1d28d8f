"""With the package installed: everything that any verb of Pantile asks of an architecture."""

import pantile


def test_the_architecture_lacks_nothing():
    assert pantile.check_model("tiny_queries_nano") == []
