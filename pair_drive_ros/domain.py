"""ROS domain ids that no other process of this machine takes at the same time."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from ament_index_python.packages import get_package_share_directory

FIRST_DOMAIN, LAST_DOMAIN = 1, 100
"""Domains whose DDS ports stay below the ephemeral range of Linux."""
LOCK_PORT = 29_300
"""Holding TCP port LOCK_PORT + id on the loopback interface means holding the domain."""
_STRIDE = 7
"""Prime to the number of domains: steps of it come through all of them."""
_uses = itertools.count()


@contextlib.contextmanager
def reserved_domain() -> Iterator[int]:
    """Hold a free domain id until the context ends.

    Each use starts at another id: what a killed process left behind in one domain disturbs nobody in the next.

    Raises:
        RuntimeError: if all of them are held.
    """
    count = LAST_DOMAIN - FIRST_DOMAIN + 1
    start = os.getpid() + next(_uses)
    for attempt in range(count):
        domain = FIRST_DOMAIN + (start + attempt) * _STRIDE % count
        lock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            lock.bind(("127.0.0.1", LOCK_PORT + domain))
        except OSError:
            lock.close()
            continue
        with contextlib.closing(lock):
            yield domain
        return
    raise RuntimeError(f"no free ROS domain id in {FIRST_DOMAIN}..{LAST_DOMAIN}: each one is held by a process")


def domain_environment(domain: int) -> dict[str, str]:
    """What processes need to talk in a domain on the loopback interface, with room for pictures and clouds.

    Without room in shared memory, point clouds and images are lost or late (docs/ros.md); Fast DDS 2 and 3.

    Raises:
        PackageNotFoundError: if the ROS package is not built.
    """
    profile = str(Path(get_package_share_directory("pair_drive_ros")) / "config" / "fastdds_large_messages.xml")
    return {
        "FASTRTPS_DEFAULT_PROFILES_FILE": profile,
        "FASTDDS_DEFAULT_PROFILES_FILE": profile,
        "ROS_DOMAIN_ID": str(domain),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "PYTHONUNBUFFERED": "1",
    }
