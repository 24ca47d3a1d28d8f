"""--init and the weights of techniques: rows of classes by name, everything else by tensor name."""

import torch

from pantile.contracts.taxonomy import plain_taxonomy
from pantile.engine.transfer import transfer_techniques
from pantile.models import create_model
from pantile.recipes import make_recipe
from pantile.techniques import RankSegConfig

CONFIG = RankSegConfig(selected=2, share_embeddings=False, channels=16, num_heads=2, dropout=0.0)


def technique_for(names: list[str], seed: int):
    torch.manual_seed(seed)
    taxonomy = plain_taxonomy(names, things=[])
    technique = CONFIG.make()
    technique.build(create_model(make_recipe("segmenter_nano").model, len(names)), taxonomy)
    return technique, taxonomy


def test_rows_of_the_ranking_are_matched_by_class_name():
    old, source = technique_for(["sky", "cat", "road"], seed=1)
    new, taxonomy = technique_for(["road", "tree", "sky"], seed=2)
    before = {name: value.clone() for name, value in new.state_dict().items()}
    state = {f"rankseg.{name}": value for name, value in old.state_dict().items()} | {"other.x": torch.zeros(1)}
    reports = transfer_techniques({"rankseg": new, "remask": torch.nn.Identity()}, taxonomy, state, source)
    assert reports.keys() == {"rankseg"} and reports["rankseg"].kept_classes == ["road", "sky"]
    after, given = new.state_dict(), old.state_dict()
    heads = new.class_heads()
    assert {name.rpartition("head.")[2] for name in heads} == {"class_embed", "classifier.weight", "classifier.bias"}
    for name, value in after.items():
        if name in heads:
            assert torch.equal(value[0], given[name][2]) and torch.equal(value[2], given[name][0])
            assert torch.equal(value[1], before[name][1])
        else:
            assert torch.equal(value, given[name])
