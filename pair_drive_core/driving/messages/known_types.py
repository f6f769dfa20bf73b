"""The message types that are known without ROS: those of ROS 2 Jazzy, and this package's own.

`msg/` at the root of the project is where the package's own messages are written; `definitions/` holds copies that are
installed with the core (a test holds both equal).
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from rosbags.interfaces.typing import Typesdict
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

OWN_PACKAGE = "pair_drive_ros/msg/"
"""What the names of this package's own message types begin with."""
_DEFINITIONS = Path(__file__).with_name("definitions")


def standard_types() -> Typestore:
    """Those of ROS 2 Jazzy alone."""
    return get_typestore(Stores.ROS2_JAZZY)


def own_types() -> dict[str, str]:
    """Definitions of this package's own messages by type name."""
    return {
        f"{OWN_PACKAGE}{path.stem}": path.read_text(encoding="utf-8") for path in sorted(_DEFINITIONS.glob("*.msg"))
    }


def known_types() -> Typestore:
    """Those of ROS 2 Jazzy and this package's own."""
    store = standard_types()
    store.register(_own_fields())
    return store


@lru_cache(maxsize=1)
def _own_fields() -> Typesdict:
    return {
        name: fields for kind, text in own_types().items() for name, fields in get_types_from_msg(text, kind).items()
    }
