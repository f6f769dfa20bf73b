"""A planner process that is configured, activated, deactivated and cleaned up again and again keeps nothing of it."""

import os
from pathlib import Path

import pytest

CYCLES = int(os.environ.get("LIFECYCLE_CYCLES", "10"))
"""`make lifecycle` walks 100."""
WARM_UP = 3
GROWTH_MIB = 6.0
"""What an allocator may keep beyond the first cycles; a leak of a subscription a cycle is more."""


class Cycles:
    """Walks the lifecycle by its service, as fast as the node answers."""

    def __init__(self, planner, peer):
        from lifecycle_msgs.msg import Transition
        from lifecycle_msgs.srv import ChangeState

        self._peer, self._planner, self._kinds = peer, planner, (ChangeState, Transition)
        self._client = peer.node.create_client(ChangeState, "/pair_drive_planner/change_state")
        assert peer.spin_until(self._client.service_is_ready, 60)
        peer.spin_for(0.5)  # The server must know of the client, too.

    def walk(self, number):
        for _ in range(number):
            for name in ("CONFIGURE", "ACTIVATE", "DEACTIVATE", "CLEANUP"):
                change, transition = self._kinds
                request = change.Request()
                request.transition.id = getattr(transition, f"TRANSITION_{name}")
                answer = self._client.call_async(request)
                assert self._peer.spin_until(answer.done, 60), name
                assert answer.result().success, name

    def held(self):
        """Threads, file handles and endpoints of the process, seen from outside."""
        process = Path(f"/proc/{self._planner.process.pid}")
        node = self._peer.node

        def endpoints():
            topics = [name for name, _ in node.get_topic_names_and_types()]
            by_topic = {name: (node.count_publishers(name), node.count_subscribers(name)) for name in topics}
            services = node.get_service_names_and_types_by_node("pair_drive_planner", "/")
            return {name: counts for name, counts in by_topic.items() if any(counts)}, len(services)

        before = None
        while before != (before := endpoints()):  # Discovery tells of what has gone a little later.
            self._peer.spin_for(0.3)
        return len(list((process / "task").iterdir())), len(list((process / "fd").iterdir())), before

    def memory_mib(self):
        lines = Path(f"/proc/{self._planner.process.pid}/status").read_text().splitlines()
        return next(float(line.split()[1]) / 1024.0 for line in lines if line.startswith("VmRSS"))


@pytest.mark.timeout(900)
def test_cycles_of_the_lifecycle_keep_no_memory_thread_file_or_endpoint(planner_process, peer):
    planner = planner_process.start(autostart=False)
    cycles = Cycles(planner, peer)
    cycles.walk(WARM_UP)
    held, memory_mib = cycles.held(), cycles.memory_mib()
    cycles.walk(CYCLES)
    grown_mib = cycles.memory_mib() - memory_mib
    after = cycles.held()
    print(f"{CYCLES} cycles: threads, handles {after[:2]}, before {held[:2]}; memory {grown_mib:+.1f} MiB")
    assert after == held
    assert grown_mib < GROWTH_MIB
    assert planner.state() == "unconfigured"
