"""The examples of docs/scoring.md run as they stand there; the reward pool that the second replaces gives the same."""

import re
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch

from pair_drive_core.datasets.cache.builder import build_scene_cache
from pair_drive_core.datasets.cache.jobs import CacheSettings
from pair_drive_core.datasets.cache.scene_cache import SceneCache
from pair_drive_core.datasets.navsim.dataset import NavsimFolders
from pair_drive_core.datasets.navsim.metric_caches import FILE_NAME, read_metric_cache
from pair_drive_core.datasets.navsim.scene_filter import read_split
from pair_drive_core.scoring import Metric, score
from pair_drive_core.town.data.navsim_export import TownExport, export_towns

ROOT = Path(__file__).resolve().parents[2]
OFFICIAL = ROOT / "test" / "golden" / "devkit" / "metric_cache_v1"


def example(word):
    """The Python block of docs/scoring.md that holds a word."""
    text = (ROOT / "docs" / "scoring.md").read_text(encoding="utf-8")
    (block,) = [block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if word in block]
    return block


def group_of(tokens, count):
    """(B, K, 8, 3): straight plans of K speeds."""
    plans = torch.zeros(len(tokens), count, 8, 3)
    plans[..., 0] = torch.arange(1, 9) * torch.linspace(0.2, 6.0, count)[:, None]
    return plans


@pytest.fixture
def cache(tmp_path, monkeypatch):
    export_towns(TownExport((20001,), 1, vehicles=1, seconds=8.0, sensors=False), tmp_path / "data")
    split = read_split(tmp_path / "data" / "train_test_split" / "towntest.yaml")
    folders = NavsimFolders.of(tmp_path / "data", split.data_split)
    build_scene_cache(CacheSettings(folders, split.scene_filter), tmp_path / "CACHE", workers=1)
    monkeypatch.chdir(tmp_path)
    return SceneCache(tmp_path / "CACHE")


def test_the_first_example_gives_a_loss(cache):
    tokens = cache.tokens[:2]
    log_prob = torch.zeros(2, 5, requires_grad=True)
    names = {"tokens": tokens, "trajectories": group_of(tokens, 5), "log_prob": log_prob}
    exec(example('PdmReward(SceneCache(Path("CACHE"))'), names)
    assert names["loss"].shape == (2, 5)
    assert float(names["scores"].total.std()) > 0.0
    names["loss"].sum().backward()
    assert bool(log_prob.grad.any())


def pool_score(token, plan):
    """What a worker of such a pool does for one plan: open the scene's metric cache, score."""
    (path,) = OFFICIAL.glob(f"*/*/{token}/{FILE_NAME}")
    return float(score([read_metric_cache(path, Metric.V1).scene], plan[None, None].double(), Metric.V1).total)


def test_the_second_example_replaces_a_reward_pool(tmp_path, monkeypatch):
    tokens = sorted(path.parent.name for path in OFFICIAL.rglob(FILE_NAME))
    plans = group_of(tokens, 4)
    (tmp_path / "METRIC_CACHE").symlink_to(OFFICIAL)
    monkeypatch.chdir(tmp_path)
    log_prob = torch.zeros(len(tokens), 4, requires_grad=True)
    names = {"torch": torch, "tokens": tokens, "plans": plans.flatten(0, 1), "log_prob": log_prob}
    names |= {"old_log_prob": log_prob.detach()}
    exec("from pathlib import Path\nfrom pair_drive_core.scoring import Metric\n", names)
    exec("from pair_drive_core.training.pdm_reward import PdmReward\n", names)
    exec(example("MetricCaches"), names)
    with ProcessPoolExecutor(2, get_context("fork"), torch.set_num_threads, (1,)) as pool:
        repeated = [token for token in tokens for _ in range(4)]
        expected = torch.tensor(list(pool.map(pool_score, repeated, plans.flatten(0, 1)))).unflatten(0, (-1, 4))
    torch.testing.assert_close(names["rewards"], expected, atol=1e-6, rtol=0)
    names["loss"].backward()
    better = names["advantage"] > 0
    assert bool((log_prob.grad[better] < 0).all())
