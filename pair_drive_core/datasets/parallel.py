"""One function over many jobs: in this process, in several, or on a ray cluster."""

from __future__ import annotations

import importlib
import importlib.util
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from enum import Enum
from typing import TypeVar

import torch

Job = TypeVar("Job")
Result = TypeVar("Result")


class Backend(str, Enum):
    """Where jobs run."""

    PROCESSES = "processes"
    RAY = "ray"


def results_of(
    function: Callable[[Job], Result], jobs: Sequence[Job], workers: int, backend: Backend = Backend.PROCESSES
) -> Iterator[Result]:
    """Results of all jobs, as they are done.

    The first exception of a job ends the iteration with it; jobs that run meanwhile are finished first.

    Args:
        function: of one job; importable by name, as other processes call it.
        jobs: its arguments.
        workers: processes; 1 runs everything here. A ray cluster uses all it has.
        backend: where jobs run.

    Raises:
        ValueError: if ray is asked for and not installed.
    """
    if backend is Backend.RAY:
        yield from _ray_results(function, jobs)
    elif workers <= 1 or len(jobs) <= 1:
        for job in jobs:
            yield function(job)
    else:
        # spawn: torch's thread pools do not survive a fork.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(min(workers, len(jobs)), context, initializer=_single_threaded) as pool:
            pending = [pool.submit(function, job) for job in jobs]
            try:
                for done in as_completed(pending):
                    yield done.result()
            finally:
                pool.shutdown(wait=True, cancel_futures=True)


def _single_threaded() -> None:
    torch.set_num_threads(1)


def _ray_results(function: Callable[[Job], Result], jobs: Sequence[Job]) -> Iterator[Result]:
    spec = importlib.util.find_spec("ray")
    if spec is None or spec.origin is None:  # a folder of that name is no package
        raise ValueError("the backend 'ray' needs the extra: pip install 'pair-drive-core[ray]'")
    ray = importlib.import_module("ray")
    if not ray.is_initialized():
        ray.init()
    task = ray.remote(function)
    pending = [task.remote(job) for job in jobs]
    while pending:
        done, pending = ray.wait(pending, num_returns=1)
        yield from ray.get(done)
