"""The loop under PyTorch Lightning: several processes, mixed precision, TensorBoard (NAVSIM's own habit).

Lightning calls the same updates of the same tasks as `run_task`, and the state on disk is the loop's own: what began
without Lightning goes on with it and the other way round. Its own checkpoints are pickles; they are neither written nor
read.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pair_drive_core.training.loop import FolderRunner, Loop, Task
from pair_drive_core.training.progress import Progress, silent
from pair_drive_core.training.trainer_config import TrainerConfig

logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)


@dataclass(frozen=True)
class LightningRunner:
    """Takes tasks to their end under Lightning; see `Runner`.

    Attributes:
        folder: of the run: a state a stage, batches that gave no finite step, events for TensorBoard.
        config: what Lightning is told.
    """

    folder: Path
    config: TrainerConfig

    def __call__(self, task: Task, seed: int, progress: Progress = silent) -> list[float]:
        """Go on to the end; answers the history, see `Loop.history`."""
        files = FolderRunner(self.folder, self.config.save_every).files(task)
        loop = Loop(task, seed, files)
        if loop.made < task.course.updates:
            module = _LoopModule(loop, progress)
            name = task.course.stage.replace(" ", "_")
            trainer = Trainer(
                accelerator="cpu",
                devices=self.config.devices,
                num_nodes=self.config.nodes,
                strategy=self._strategy(),
                precision=self.config.precision.value,
                max_epochs=1,
                logger=TensorBoardLogger(str(self.folder), name="tensorboard", version=name),
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                use_distributed_sampler=False,
                log_every_n_steps=1,
            )
            trainer.fit(module, DataLoader(_Updates(range(loop.made, task.course.updates)), batch_size=None))
            # Copies of this process trained, where there were several: what they wrote is what there is.
            loop = Loop(task, seed, files)
        loop.finish()
        return loop.history()

    def _strategy(self) -> str | DDPStrategy:
        if self.config.devices * self.config.nodes == 1:
            return "auto"
        return DDPStrategy(
            process_group_backend="gloo", find_unused_parameters=True, start_method=self.config.launch.value
        )


class _Updates(Dataset[int]):
    """Numbers of the updates to make; the loop knows what belongs to each."""

    def __init__(self, numbers: range) -> None:
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, place: int) -> int:
        return self._numbers[place]


class _LoopModule(LightningModule):
    """A loop's updates as Lightning's training steps; the steps of the optimiser stay the loop's."""

    def __init__(self, loop: Loop, progress: Progress) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.network = loop.task.module
        self.loop, self.progress = loop, progress

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return self.loop.optimiser.adamw

    def on_train_start(self) -> None:
        self.loop.begin()

    def training_step(self, batch: int, batch_idx: int) -> None:
        loop = self.loop
        figures = loop.update_once(self._step, self.global_rank, self.trainer.world_size)
        if self.global_rank == 0:
            self._tell(figures)
            if loop.due():
                loop.save()

    def _step(self, loss: Tensor) -> bool:
        return self.loop.optimiser.step(loss, self.manual_backward)

    def _tell(self, figures: Mapping[str, float]) -> None:
        logger: Any = self.logger
        events = logger.experiment
        for name, value in figures.items():
            events.add_scalar(name, value, self.loop.made)
        events.add_scalar("skipped steps", self.loop.optimiser.guard.skipped, self.loop.made)
        self.progress(self.loop.task.course.stage, self.loop.made, self.loop.task.course.updates, figures)
