"""The thread that decodes ahead, with readings of the test's own."""

import threading
import time

from pair_drive_ros.decoding_thread import DecodingThread


class Slow:
    """A reading that waits until it may be decoded."""

    def __init__(self, gate, done):
        self._gate, self._done = gate, done

    def prepare(self):
        assert self._gate.wait(20)
        self._done.append(self)


def test_readings_are_decoded_in_order_the_oldest_left_out_where_there_are_too_many():
    gate, done = threading.Event(), []
    decoding = DecodingThread(capacity=2)
    given = [Slow(gate, done) for _ in range(5)]
    decoding.submit(given[0])
    while decoding._waiting:
        time.sleep(0.01)
    for reading in given[1:]:
        decoding.submit(reading)
    gate.set()
    last = Slow(gate, done)
    while len(done) < 3:
        time.sleep(0.01)
    decoding.submit(last)
    while last not in done:
        time.sleep(0.01)
    assert done == [given[0], given[3], given[4], last]
    assert decoding.stop()


def test_it_ends_without_working_on_what_waits():
    gate, done = threading.Event(), []
    decoding = DecodingThread()
    given = [Slow(gate, done) for _ in range(3)]
    for reading in given:
        decoding.submit(reading)
    threading.Timer(0.2, gate.set).start()
    assert decoding.stop()
    assert len(done) <= 1
