"""PaIR on another imitation policy, without training its reinforcement branch again."""

import dataclasses

import pytest
import torch

from pair_drive_core.models import PairModel
from pair_drive_core.models.ego_status import EgoStatusConfig
from pair_drive_core.models.presets import tiny_config
from pair_drive_core.policies import plan_batch
from pair_drive_core.policies.joining import join_models


def test_the_ones_plan_is_the_root_of_the_others_tree(features):
    torch.manual_seed(0)
    tiny = tiny_config()
    one = PairModel(dataclasses.replace(tiny, imitation=EgoStatusConfig(hidden=8))).eval()
    join = dataclasses.replace(tiny.join, margin=0.25)
    other = PairModel(dataclasses.replace(tiny, join=join)).eval()
    joined = join_models(one, other)
    choice = plan_batch(joined, features)
    assert torch.equal(choice.tree.reference, one.imitation(features))
    assert joined.config.join.margin == 0.25
    branch = other.reinforcement
    known = branch.reward.predict(branch.backbone(features), choice.tree.leaves).reward
    torch.testing.assert_close(choice.predicted.reward, known)


def test_models_of_different_inputs_are_not_joined():
    tiny = tiny_config()
    wider = dataclasses.replace(tiny, features=dataclasses.replace(tiny.features, image_width_px=128))
    with pytest.raises(ValueError, match="joining models: expected the same inputs"):
        join_models(PairModel(tiny), PairModel(wider))
