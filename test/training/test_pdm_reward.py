"""The metric as a reward for code that knows nothing of this project."""

import os
import pickle
import threading

import pytest
import torch
from torch import nn

from pair_drive_core.datasets.errors import UnknownTokenError
from pair_drive_core.models.reward_world_model import RewardFormula, compose_reward, head_names
from pair_drive_core.planning import pdm_references
from pair_drive_core.scene import SceneError
from pair_drive_core.scoring import HumanFilter, Metric, score
from pair_drive_core.training.pdm_reward import PdmReward
from pair_drive_core.training.simulated_rewards import SimulatedRewards


class Scenes:
    """Scenes by name, counting how often each is read; travels to other processes."""

    def __init__(self, scenes):
        self.by_token = {scene.token: scene for scene in scenes}
        self.read = []

    def scene(self, token):
        if token not in self.by_token:
            raise UnknownTokenError("scenes", f"no scene {token!r}")
        self.read.append(token)
        return self.by_token[token]


@pytest.fixture(scope="module")
def source(roads):
    from dataclasses import replace

    return Scenes([replace(roads.road(), token=f"s{k}", reference=None) for k in range(4)])


@pytest.fixture(scope="module")
def tokens(source):
    return list(source.by_token)


@pytest.fixture(scope="module")
def plans(tokens):
    """Four scenes, three plans: slow, fast, swerving."""
    steps = torch.arange(1, 9).float()
    out = torch.zeros(len(tokens), 3, 8, 3)
    out[:, :, :, 0] = steps * torch.tensor([1.0, 4.0, 3.0])[:, None]
    out[:, 2, :, 1] = 0.08 * steps**2
    return out + 0.01 * torch.arange(len(tokens))[:, None, None, None]


@pytest.mark.parametrize("metric", list(Metric))
def test_rewards_are_the_scorers(source, tokens, plans, metric):
    scenes = [source.scene(token) for token in tokens]
    references = pdm_references(scenes, metric)
    expected = score(scenes, plans.double(), metric, reference=references, human_filter=HumanFilter.OFF)
    rewards = PdmReward(source, metric)(tokens, plans)
    torch.testing.assert_close(rewards.total.double(), expected.total, atol=1e-7, rtol=0)
    torch.testing.assert_close(rewards.sub_scores.double(), expected.sub, atol=1e-7, rtol=0)
    assert rewards.names == metric.sub_score_names
    assert rewards.total.dtype == torch.float32
    batch = PdmReward(source, metric, normalisation="batch")(tokens, plans)
    ep = rewards.names.index("EP")
    assert bool((batch.sub_scores[..., ep] <= rewards.sub_scores[..., ep] + 1e-6).all())


def test_order_neighbours_and_repeats_change_nothing(source, tokens, plans):
    reward = PdmReward(source)
    whole = reward(tokens, plans).total
    assert torch.equal(reward(tokens[::-1], plans.flip(0)).total.flip(0), whole)
    assert torch.equal(reward([tokens[2]] * 2, plans[[2, 2]]).total, whole[[2, 2]])
    broken = plans.clone()
    broken[1, 0] = torch.nan
    spoilt = reward(tokens, broken)
    assert not bool(spoilt.valid[1, 0])
    assert float(spoilt.total[1, 0]) == 0.0
    assert torch.equal(spoilt.total[[0, 2, 3]], whole[[0, 2, 3]])


def test_scenes_are_read_once_and_the_least_recently_used_go_first(source, tokens, plans):
    reward = PdmReward(source, kept=2)
    source.read.clear()
    first = reward(tokens[:2], plans[:2]).total
    reward(tokens[:1], plans[:1])
    assert source.read == tokens[:2]
    reward(tokens[2:3], plans[2:3])
    assert reward.prepared == 2
    source.read.clear()
    assert torch.equal(reward(tokens[:2], plans[:2]).total, first)
    assert source.read == [tokens[1]]
    reward.prepare(tokens)
    assert reward.prepared == 2


def test_threads_copies_and_forks_give_the_same_numbers(source, tokens, plans):
    reward = PdmReward(source, Metric.V2)
    alone = reward(tokens, plans).total
    fresh, answers = PdmReward(source, Metric.V2), []
    threads = [threading.Thread(target=lambda: answers.append(fresh(tokens, plans).total)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 4
    assert all(torch.equal(answer, alone) for answer in answers)
    copy = pickle.loads(pickle.dumps(reward))  # noqa: S301 - what a torch loader does
    assert copy.prepared == 0
    assert torch.equal(copy(tokens, plans).total, alone)
    with reward._lock:  # as another thread of the parent may hold it at that moment
        child = os.fork()
        if child == 0:
            torch.set_num_threads(1)
            os._exit(0 if torch.equal(reward(tokens, plans).total, alone) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


class InTheLoader(torch.utils.data.Dataset):
    """What a data loader's worker does: rewards for its own scenes."""

    def __init__(self, reward, tokens, plans):
        self.reward, self.tokens, self.plans = reward, tokens, plans

    def __len__(self):
        return len(self.tokens)

    def __getitem__(self, place):
        return self.reward(self.tokens[place : place + 1], self.plans[place : place + 1]).total[0]


def test_four_loader_workers_give_the_same_numbers(source, tokens, plans):
    reward = PdmReward(source)
    alone = reward(tokens, plans).total
    forked = torch.utils.data.DataLoader(
        InTheLoader(reward, tokens, plans), batch_size=1, num_workers=4, multiprocessing_context="fork"
    )
    assert torch.equal(torch.cat(list(forked)), alone)


def test_bad_calls_are_named(source, tokens, plans):
    reward = PdmReward(source)
    with pytest.raises(UnknownTokenError, match="feed"):
        reward(["feed"], plans[:1])
    with pytest.raises(SceneError, match="trajectories"):
        reward(tokens[:1], plans[:2])
    with pytest.raises(SceneError, match="at least one"):
        reward([], plans[:0])
    with pytest.raises(ValueError, match="at least one scene"):
        PdmReward(source, kept=0)


def test_an_outside_policy_learns_from_it(source, tokens, plans):
    """The worked example of docs/scoring.md: a plain module, REINFORCE with the group's mean as baseline."""
    torch.manual_seed(0)
    policy = nn.Linear(1, 1)
    nn.init.zeros_(policy.weight)
    nn.init.constant_(policy.bias, 0.5)
    optimiser = torch.optim.Adam(policy.parameters(), lr=0.3)
    reward = PdmReward(source)
    steps = torch.arange(1, 9).float()
    history = []
    for _ in range(20):
        mean = policy(torch.ones(len(tokens), 1))
        speed = (mean + 0.5 * torch.randn(len(tokens), 16)).detach()  # metres in each half second
        poses = torch.zeros(len(tokens), 16, 8, 3)
        poses[..., 0] = speed[..., None] * steps
        total = reward(tokens, poses).total
        advantage = total - total.mean(1, keepdim=True)
        loss = (advantage * (speed - mean).square()).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        history.append(float(total.mean()))
    assert sum(history[-5:]) > sum(history[:5]) + 0.2


@pytest.mark.parametrize("formula", list(RewardFormula))
def test_one_formula_serves_scorer_reward_model_and_training(source, tokens, plans, formula):
    """The total of training is the scorer's own, and the reward model composes the same."""
    scenes = [source.scene(token) for token in tokens]
    rewards = SimulatedRewards(scenes, formula)
    some = rewards(torch.tensor([3, 1, 3]), plans[[3, 1, 3]])
    own = score(
        scenes, plans, formula.metric, reference=pdm_references(scenes, formula.metric), human_filter=HumanFilter.OFF
    )
    torch.testing.assert_close(some.total, own.total[[3, 1, 3]], atol=1e-5, rtol=0)
    columns = [formula.metric.sub_score_names.index(name) for name in head_names(formula)]
    torch.testing.assert_close(some.sub_scores, own.unfiltered[[3, 1, 3]][..., columns], atol=1e-5, rtol=0)
    torch.testing.assert_close(compose_reward(some.sub_scores, formula), some.total, atol=1e-5, rtol=0)
    assert formula.label == ("PDMS" if formula is RewardFormula.PDMS else "EPDMS without EC")


def test_scenes_are_indexed_once(source, tokens, plans, monkeypatch):
    from pair_drive_core.scoring.native.index import NativeIndex

    rewards = SimulatedRewards([source.scene(token) for token in tokens], RewardFormula.PDMS)
    built = []
    whole = NativeIndex.__init__
    monkeypatch.setattr(NativeIndex, "__init__", lambda self, *a, **k: (built.append(1), whole(self, *a, **k))[1])
    for _ in range(3):
        rewards(torch.tensor([0, 2]), plans[[0, 2]])
    assert built == []
