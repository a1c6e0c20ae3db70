"""How well a life is corrected: it lives what it may know, is told otherwise, sleeps, and loses its fast memory.

python -m experiments.benchmark suite=corrections
"""

from experiments.corrections.protocols import PROTOCOLS

__all__ = ["PROTOCOLS"]
