"""Ways to learn from demonstrations and rewards, on equal terms: one file a scheme."""

from collections.abc import Callable, Mapping
from enum import Enum

from pair_drive_core.training.schemes.il import train_il
from pair_drive_core.training.schemes.iterative import train_iterative
from pair_drive_core.training.schemes.one_shot import train_one_shot
from pair_drive_core.training.schemes.parallel import train_parallel
from pair_drive_core.training.schemes.rl import train_rl
from pair_drive_core.training.schemes.rwm import train_rwm
from pair_drive_core.training.schemes.scheme import PARTS, PlanBy, SchemeInputs, SchemeResult, SchemeSettings


class Scheme(str, Enum):
    """Which."""

    IL = "il"
    RL = "rl"
    RWM = "rwm"
    PARALLEL = "parallel"
    ONE_SHOT = "one_shot"
    ITERATIVE = "iterative"


SCHEMES: Mapping[Scheme, Callable[[SchemeInputs], SchemeResult]] = {
    Scheme.IL: train_il,
    Scheme.RL: train_rl,
    Scheme.RWM: train_rwm,
    Scheme.PARALLEL: train_parallel,
    Scheme.ONE_SHOT: train_one_shot,
    Scheme.ITERATIVE: train_iterative,
}

__all__ = ["PARTS", "SCHEMES", "PlanBy", "Scheme", "SchemeInputs", "SchemeResult", "SchemeSettings"]
