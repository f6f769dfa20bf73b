"""The one loop around every training's updates: order, disturbance, optimiser, state on disk.

What an update sees is a function of seed and number of the update alone. So a training that was killed needs nothing
but weights, the optimiser's moments and that number to go on as if nothing had been.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn

from pair_drive_core.datasets.atomic import whole_file, write_bytes
from pair_drive_core.training.optimisation import Optimiser, OptimiserConfig
from pair_drive_core.training.progress import Progress, silent
from pair_drive_core.training.samples import shuffled_batches

Step = Callable[[Tensor], bool]
"""One step of the optimiser against a scalar loss; answers whether it was made."""


class Passes(Protocol):
    """What the settings of every training that goes over its samples some times say."""

    @property
    def epochs(self) -> int:
        """Passes over the samples."""
        ...

    @property
    def batch_size(self) -> int:
        """Samples an update."""
        ...

    @property
    def optimiser(self) -> OptimiserConfig:
        """AdamW."""
        ...


@dataclass(frozen=True)
class Course:
    """How long a training goes and how.

    Attributes:
        stage: what the progress calls it.
        follows: figure whose mean over each epoch is the history.
        samples: how many there are.
        batch_size: of them in an update.
        updates: batches in all.
        optimiser: AdamW.
        steps: of the optimiser in each update.
        average: decay of the moving average of the weights, which then counts in the end; 0 keeps none.
        statistics: whether normalisation statistics follow the batches.
    """

    stage: str
    follows: str
    samples: int
    batch_size: int
    updates: int
    optimiser: OptimiserConfig
    steps: int = 1
    average: float = 0.0
    statistics: bool = True

    @staticmethod
    def of_epochs(
        stage: str, follows: str, samples: int, passes: Passes, steps: int = 1, statistics: bool = True
    ) -> Course:
        """As many updates as some passes over the samples take."""
        updates = passes.epochs * batches_of(samples, passes.batch_size)
        return Course(
            stage, follows, samples, passes.batch_size, updates, passes.optimiser, steps, statistics=statistics
        )


class Task(ABC):
    """What one training does with a batch.

    Attributes:
        course: how long and how.
        module: what is saved.
        parameters: of it, that learn.
    """

    course: Course
    module: nn.Module
    parameters: list[nn.Parameter]

    @abstractmethod
    def update(self, index: Tensor, generator: torch.Generator, step: Step) -> Mapping[str, float]:
        """Learn from the samples at some places; answers figures by name."""

    def state(self) -> dict[str, float]:
        """What the task itself remembers from update to update."""
        return {}

    def restore(self, state: Mapping[str, float]) -> None:
        """Take up what `state` gave.

        Raises:
            ValueError: if it is another task's.
        """
        if state:
            raise ValueError(f"state of {self.course.stage!r}: expected nothing of the task's own, got {sorted(state)}")

    def inputs(self, index: Tensor) -> dict[str, Tensor]:
        """What is kept of a batch whose step was left out."""
        return {}


class BatchOrder:
    """Which samples each update gets: every epoch all of them, in an order of its own."""

    def __init__(self, samples: int, batch_size: int, seed: int) -> None:
        self._samples, self._batch_size, self._seed = samples, batch_size, seed
        self.per_epoch = batches_of(samples, batch_size)
        self._epoch = -1
        self._batches: list[Tensor] = []

    def at(self, update: int) -> Tensor:
        """Places of the samples of an update."""
        epoch, place = divmod(update, self.per_epoch)
        if epoch != self._epoch:
            generator = drawn_for(self._seed, epoch, 1)
            self._epoch, self._batches = epoch, list(shuffled_batches(self._samples, self._batch_size, generator))
        return self._batches[place]


def batches_of(samples: int, batch_size: int) -> int:
    """Batches in an epoch."""
    return sum(1 for _ in shuffled_batches(samples, batch_size, torch.Generator()))


def drawn_for(*numbers: int) -> torch.Generator:
    """A source of chance that depends on some numbers alone."""
    return torch.Generator().manual_seed(int(np.random.SeedSequence(numbers).generate_state(1)[0]))


@dataclass(frozen=True)
class LoopFiles:
    """What a loop keeps on disk.

    Attributes:
        state: file of the state; taken up if it is there.
        save_every: updates between two states.
        refused: folder for batches whose step was left out; None keeps none.
    """

    state: Path
    save_every: int = 200
    refused: Path | None = None


class Loop:
    """A task's updates, one after the other.

    Args:
        task: what to do.
        seed: of order and chance.
        files: what is kept on disk; None keeps nothing.

    Attributes:
        made: updates so far.
        followed: by epoch, sum and number of the followed figure.
    """

    def __init__(self, task: Task, seed: int, files: LoopFiles | None = None) -> None:
        self.task, self.seed, self.files = task, seed, files
        course = task.course
        self.optimiser = Optimiser(task.parameters, course.optimiser, course.updates * course.steps)
        self.order = BatchOrder(course.samples, course.batch_size, seed)
        self.made = 0
        self.followed: dict[int, list[float]] = {}
        self.average: dict[str, Tensor] = {}
        if course.average > 0.0:
            self.average = {name: value.clone() for name, value in task.module.state_dict().items()}
        if files is not None and files.state.is_file():
            self._restore(torch.load(files.state, weights_only=True))

    def run(self, progress: Progress = silent) -> list[float]:
        """Go on to the end.

        Returns:
            See `history`.

        Raises:
            ValueError: see `StepGuard`.
        """
        course = self.task.course
        self.begin()
        while self.made < course.updates:
            figures = self.update_once(self.optimiser.step)
            progress(course.stage, self.made, course.updates, figures)
            if self.due():
                self.save()
        self.finish()
        return self.history()

    def history(self) -> list[float]:
        """The mean of the followed figure over each epoch; of a state without it, over those made since."""
        return [total / count for _, (total, count) in sorted(self.followed.items())]

    def begin(self) -> None:
        """Put the module into the mode that it learns in."""
        self.task.module.train(self.task.course.statistics)

    def update_once(self, step: Step, rank: int = 0, ranks: int = 1) -> Mapping[str, float]:
        """One update; of several processes each takes its share of the batch."""
        index = self.order.at(self.made)[rank::ranks]

        def guarded(loss: Tensor) -> bool:
            try:
                made = step(loss)
            except ValueError:
                self._keep(index)
                raise
            if not made:
                self._keep(index)
            return made

        figures = self.task.update(index, drawn_for(self.seed, self.made, 2, rank), guarded)
        total, count = self.followed.get(self.made // self.order.per_epoch, [0.0, 0.0])
        value = figures[self.task.course.follows]
        self.followed[self.made // self.order.per_epoch] = [total + value, count + 1.0]
        self._follow()
        self.made += 1
        return figures

    def due(self) -> bool:
        """Whether the state should be written now."""
        if self.files is None:
            return False
        return self.made % self.files.save_every == 0 or self.made == self.task.course.updates

    def finish(self) -> None:
        """Let the averaged weights count, and stop learning."""
        if self.average:
            self.task.module.load_state_dict(self.average)
        self.task.module.eval()

    def save(self) -> None:
        """Write the state; the file appears when it is whole."""
        assert self.files is not None
        state = {
            "model": self.task.module.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "average": self.average,
            "update": self.made,
            "task": self.task.state(),
            "followed": self.followed,
            "of": self._identity(),
        }
        self.files.state.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(self.files.state) as partial:
            torch.save(state, partial)

    def _restore(self, state: Mapping[str, Any]) -> None:
        """Take up a state; states of before there was one loop hold their order and chance too, which no one needs."""
        mine, theirs = self._identity(), state.get("of")
        if theirs is not None and theirs != mine:
            assert self.files is not None
            raise ValueError(f"{self.files.state}: expected the state of {mine}, got that of {theirs}; take it away")
        shapes = {name: tuple(value.shape) for name, value in self.task.module.state_dict().items()}
        found = {name: tuple(value.shape) for name, value in state["model"].items()}
        if shapes != found:
            assert self.files is not None
            differ = sum(shapes.get(name) != found.get(name) for name in shapes.keys() | found.keys())
            raise ValueError(
                f"{self.files.state}: expected a state of these networks, {differ} tensors differ; take it away"
            )
        self.task.module.load_state_dict(state["model"])
        self.followed = {int(epoch): list(value) for epoch, value in state.get("followed", {}).items()}
        self.made = int(state["update"])
        self.optimiser.load_state_dict(state["optimiser"], self.made * self.task.course.steps)
        self.average = dict(state["average"])
        self.task.restore(state.get("task", {}))

    def _identity(self) -> dict[str, str | int]:
        """What a state must be of to be taken up; a training may be made longer, but not another one."""
        course = self.task.course
        return {
            "stage": course.stage,
            "seed": self.seed,
            "samples": course.samples,
            "batch_size": course.batch_size,
            "steps": course.steps,
        }

    def _keep(self, index: Tensor) -> None:
        """Write a batch that gave no finite step, so that somebody can look at it."""
        if self.files is None or self.files.refused is None:
            return
        tensors = {"index": index, **self.task.inputs(index)}
        self.files.refused.mkdir(parents=True, exist_ok=True)
        path = self.files.refused / f"update_{self.made:06d}.safetensors"
        about = {"stage": self.task.course.stage, "seed": str(self.seed), "update": str(self.made)}
        write_bytes(path, save({name: value.contiguous() for name, value in tensors.items()}, about))

    @torch.no_grad()
    def _follow(self) -> None:
        """Let the average follow the weights, the quicker the fewer updates there were."""
        if not self.average:
            return
        decay = min(self.task.course.average, (1 + self.made) / (10 + self.made))
        for name, value in self.task.module.state_dict().items():
            if value.dtype.is_floating_point:
                self.average[name].lerp_(value, 1.0 - decay)
            else:
                self.average[name].copy_(value)


class Runner(Protocol):
    """Takes a task to its end."""

    def __call__(self, task: Task, seed: int, progress: Progress = silent) -> list[float]:
        """Run; answers the history, see `Loop.run`."""
        ...


def run_task(task: Task, seed: int, progress: Progress = silent) -> list[float]:
    """The runner that keeps nothing on disk."""
    return Loop(task, seed).run(progress)


@dataclass(frozen=True)
class FolderRunner:
    """Keeps a state file a stage in a folder and goes on from it.

    Attributes:
        folder: of the run.
        save_every: updates between two states.
    """

    folder: Path
    save_every: int = 200

    def __call__(self, task: Task, seed: int, progress: Progress = silent) -> list[float]:
        """See `Runner`."""
        return Loop(task, seed, self.files(task)).run(progress)

    def files(self, task: Task) -> LoopFiles:
        """Where a task's state lies."""
        name = task.course.stage.replace(" ", "_")
        return LoopFiles(self.folder / f"{name}.pt", self.save_every, self.folder / "refused_batches")


def seed_from(generator: torch.Generator) -> int:
    """A seed for a stage, drawn from a training's chance."""
    return int(torch.randint(2**31, (), generator=generator))
