"""Protocols by name: transfers take targets, and say so when they lack them."""

import pytest

from promptlab import api
from promptlab.errors import BadData


@pytest.mark.parametrize("protocol,target,names", [
    ("domain_shift", "world:textures@sketch", ("textures@photo", "textures@sketch")),
    ("cross_dataset", "world:food@photo", ("textures@photo", "food@photo")),
])
def test_transfers_test_on_the_targets(protocol, target, names):
    episode, tests = api.open_data("world:textures@photo", 2, protocol=protocol, targets=[target]).draw(1)
    assert tuple(t.name for t in tests) == names
    assert len(episode.support) == 2 * len(episode.task.classes)
    assert (tests[0].task.classes.names == tests[1].task.classes.names) == (protocol == "domain_shift")


def test_a_shift_to_other_classes_is_refused():
    with pytest.raises(BadData, match="use cross_dataset for other classes"):
        api.open_data("world:textures@photo", 2, protocol="domain_shift", targets=["world:food@photo"]).draw(1)


@pytest.mark.parametrize("protocol,targets", [("domain_shift", ()), ("few_shot", ("world:food@photo",)), ("nothing", ())])
def test_protocol_and_targets_must_agree(protocol, targets):
    with pytest.raises(BadData, match="targets go with|there is no protocol"):
        api.open_data("world:textures@photo", 2, protocol=protocol, targets=targets)
