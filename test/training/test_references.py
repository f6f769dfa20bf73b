"""Roots of the trees while training, and the batches they come in."""

import pytest
import torch

from pair_drive_core.models import OffsetConfig
from pair_drive_core.models.bounds import require_bounds
from pair_drive_core.models.features import Features
from pair_drive_core.training.augmentation import AugmentationConfig, augment
from pair_drive_core.training.references import ReferenceMix, draw_references, random_leaves
from pair_drive_core.training.samples import DrivingSamples, ordered_batches, shuffled_batches


def draw(mix, reference, seed=0):
    human = reference[:1].expand(400, -1, -1)
    imitation = reference[1:2].expand(400, -1, -1)
    drawn = draw_references(human, imitation, mix, OffsetConfig(), torch.Generator().manual_seed(seed))
    is_human = (drawn == human).flatten(1).all(1)
    is_imitation = (drawn == imitation).flatten(1).all(1)
    return drawn, is_human, is_imitation


def test_shares_of_roots(reference):
    _, is_human, is_imitation = draw(ReferenceMix(0.5, 0.2, 0.1), reference)
    assert is_human.float().mean() == pytest.approx(0.5, abs=0.08)
    assert is_imitation.float().mean() == pytest.approx(0.2, abs=0.08)


def test_only_humans_only_plans(reference):
    assert draw(ReferenceMix(1.0, 0.0, 0.0), reference)[1].all()
    assert draw(ReferenceMix(0.0, 0.0, 0.0), reference)[2].all()


def test_disturbed_roots_stay_within_the_reach_of_a_tree(reference):
    drawn, is_human, _ = draw(ReferenceMix(0.0, 1.0, 0.0), reference)
    assert not is_human.any()
    assert (drawn - reference[:1])[..., 1].abs().max() <= 4.0
    assert drawn[..., 0].diff(dim=1).min() >= 0


@pytest.mark.parametrize("shares", [(0.6, 0.5, 0.0), (-0.1, 0.5, 0.0)])
def test_impossible_shares_are_refused(shares):
    with pytest.raises(ValueError, match=r"reference shares|human"):
        require_bounds(ReferenceMix(*shares))


def test_random_leaves_differ(reference):
    leaves = random_leaves(reference, 10, OffsetConfig(), torch.Generator().manual_seed(0))
    assert leaves.shape == (3, 10, 8, 3)
    assert len({tuple(leaf[-1].tolist()) for leaf in leaves[0]}) == 10


@pytest.mark.parametrize(("count", "size"), [(10, 4), (9, 4), (3, 5), (1, 4)])
def test_each_sample_once_an_epoch(count, size):
    parts = list(shuffled_batches(count, size, torch.Generator().manual_seed(0)))
    assert sorted(torch.cat(parts).tolist()) == list(range(count))
    assert all(len(part) > 1 for part in parts) or count == 1
    assert torch.cat(list(ordered_batches(count, size))).tolist() == list(range(count))


def test_eight_bit_storage_keeps_the_inputs(features, reference):
    samples = DrivingSamples.from_features(
        [features[:2], features[2:]], reference, torch.zeros(3, 32, 32, dtype=torch.uint8)
    )
    back = samples.features(torch.tensor([2, 0]))
    assert (back.camera - features.camera[[2, 0]]).abs().max() <= 0.5 / 255 + 1e-6
    assert torch.equal(back.status, features.status[[2, 0]])


def test_augmentation_of_strength_zero_changes_nothing(features):
    same = augment(features, AugmentationConfig(0.0, 0.0, 0.0, 0.0), torch.Generator())
    for name in ("camera", "lidar", "status"):
        assert torch.equal(getattr(same, name), getattr(features, name))


def test_augmentation_keeps_ranges_and_command(features):
    disturbed = augment(features, AugmentationConfig(0.5, 0.3, 0.5, 1.0), torch.Generator().manual_seed(0))
    assert isinstance(disturbed, Features)
    assert 0 <= disturbed.camera.min() <= disturbed.camera.max() <= 1
    assert ((disturbed.lidar == 0) | (disturbed.lidar == features.lidar)).all()
    assert torch.equal(disturbed.status[:, :4], features.status[:, :4])
    assert not torch.equal(disturbed.status[:, 4:6], features.status[:, 4:6])
