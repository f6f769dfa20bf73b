import threading
import time

import pytest

from pair_drive_ros.inference_thread import InferenceThread


def wait_for(condition):
    end = time.monotonic() + 20
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    assert condition()


@pytest.fixture
def thread_of():
    """Starts threads that are stopped in the end."""
    started = []

    def start(handler, failed=None):
        started.append(InferenceThread(handler, failed or (lambda error: None), "test"))
        return started[-1]

    yield start
    for thread in started:
        thread.stop()


class Gate:
    """A handler that holds its jobs until it is opened."""

    def __init__(self):
        self.entered, self.open, self.done = threading.Event(), threading.Event(), []

    def __call__(self, job):
        self.entered.set()
        assert self.open.wait(20)
        self.done.append(job)


@pytest.mark.parametrize("error", [ValueError("x"), MemoryError(), StopIteration(), type("Odd", (Exception,), {})("?")])
def test_whatever_a_job_raises_the_next_one_is_worked_on(thread_of, error):
    done, told = [], []

    def handler(job):
        if job == "bad":
            raise error
        done.append(job)

    thread = thread_of(handler, told.append)
    thread.submit("bad")
    wait_for(lambda: told == [error])
    thread.submit("good")
    wait_for(lambda: done == ["good"])
    assert thread.alive and thread.busy_s == 0.0


def test_only_the_newest_waiting_job_is_kept_and_the_others_are_counted(thread_of):
    gate = Gate()
    thread = thread_of(gate)
    thread.submit(1)
    assert gate.entered.wait(20)
    for job in (2, 3, 4):
        thread.submit(job)
    gate.open.set()
    wait_for(lambda: gate.done == [1, 4])
    assert thread.replaced == 2


def test_a_job_that_takes_long_is_seen_from_outside(thread_of):
    gate = Gate()
    thread = thread_of(gate)
    thread.submit(1)
    assert gate.entered.wait(20)
    wait_for(lambda: thread.busy_s > 0.05)
    gate.open.set()
    wait_for(lambda: thread.busy_s == 0.0)


@pytest.mark.parametrize("way", ["stop", "drop"])
def test_a_job_that_waits_can_be_dropped(thread_of, way):
    gate = Gate()
    thread = thread_of(gate)
    thread.submit(1)
    assert gate.entered.wait(20)
    thread.submit(2)
    if way == "drop":
        assert thread.drop_waiting()
        gate.open.set()
        thread.submit(3)
        wait_for(lambda: gate.done == [1, 3])
    else:
        threading.Timer(0.1, gate.open.set).start()
        assert thread.stop(), "the running job is finished"
        assert gate.done == [1]
        assert not thread.alive


def test_a_job_that_never_ends_is_left_behind(thread_of):
    gate = Gate()
    thread = thread_of(gate)
    thread.submit(1)
    assert gate.entered.wait(20)
    assert not thread.stop(timeout_s=0.05)
    gate.open.set()
