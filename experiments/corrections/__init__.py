"""How well a life is corrected: it lives what it may know, is told otherwise, sleeps, and loses its fast memory.

python -m experiments.benchmark suite=corrections

Words as Yao et al. (2023) and Hartvigsen et al. (2023) define them. Of one correction, on the very next call: efficacy.
Of all of them, later: retention, on the very instances; generalisation, on questions of the test split that they should
reach; and locality, on those that they should not touch. Of fixes the former are the questions that were answered
wrongly, of concepts that were fixed, and the latter those that were answered rightly; of remaps, the questions of the
concepts that were given another answer, and all the others.
"""

from collections.abc import Callable

from experiments.cells import Scores
from experiments.corrections.answers import remaps, senses
from experiments.corrections.errors import cycles, fixes

PROTOCOLS: dict[str, Callable[..., Scores]] = {"fixes": fixes, "remaps": remaps, "cycles": cycles, "senses": senses}

__all__ = ["PROTOCOLS"]
