"""What a measure refuses: every message names the argument, what was expected and what to do."""

from collections.abc import Sequence

import numpy as np


def numbers(value, name: str, axes: str, *, missing: bool = False) -> np.ndarray:
    """`value` as float64 with one axis per word of `axes`, "N T" say; NaN only if `missing`, infinity never."""
    try:
        array = np.asarray(value, float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} is not an array of numbers; give [{axes.replace(' ', ', ')}]") from error
    if array.ndim != len(axes.split()):
        raise ValueError(f"{name} has the shape {array.shape}; give [{axes.replace(' ', ', ')}]")
    if array.size == 0:
        raise ValueError(f"{name} is empty, its shape is {array.shape}; give at least one number")
    bad = np.isinf(array) if missing else ~np.isfinite(array)
    if bad.any():
        where = ", ".join(str(index) for index in np.argwhere(bad)[0])
        raise ValueError(f"{name}[{where}] is {array[bad][0]}; give a finite number there")
    return array


def measured(array: np.ndarray, needed: np.ndarray, name: str) -> None:
    """Refuse NaN where `needed` [as array] is true."""
    missing = np.argwhere(np.isnan(array) & needed)
    if len(missing):
        where = ", ".join(str(index) for index in missing[0])
        raise ValueError(
            f"{name}[{where}] is nan, but this measure needs an accuracy there; examine the life there too"
        )


def same_length(name: str, length: int, other: str, expected: int) -> None:
    """Refuse `name` if it is not as long as `other`."""
    if length != expected:
        raise ValueError(f"{name} has {length} entries but {other} has {expected}; give as many of both")


def integers(value, name: str, axes: str) -> np.ndarray:
    """`value` as int64, none negative; numbers with a fraction are refused."""
    array = numbers(value, name, axes)
    if (array != np.floor(array)).any() or (array < 0).any():
        raise ValueError(f"{name} holds {array.min()} to {array.max()}; give whole numbers from 0")
    return array.astype(np.int64)


def evaluations(value: Sequence[int], name: str, count: int, tasks: int) -> np.ndarray:
    """One evaluation per task, each later than the one before and none after the last of `count`."""
    array = integers(value, name, "T")
    same_length(name, len(array), "A's axis of tasks", tasks)
    if (np.diff(array) <= 0).any() or array[-1] >= count:
        raise ValueError(f"{name} is {array.tolist()}; give evaluations in rising order, from 0 to {count - 1}")
    return array


def within(value: float, name: str, low: float, high: float) -> float:
    """Refuse what is not strictly between `low` and `high`."""
    if not low < value < high:
        raise ValueError(f"{name} is {value}; give a number between {low} and {high}, both excluded")
    return value


def at_least(value: float, name: str, low: float) -> float:
    """Refuse what is less than `low`."""
    if not value >= low:
        raise ValueError(f"{name} is {value}; give at least {low}")
    return value


def count_at_least(value: int, name: str, low: int) -> int:
    """Refuse what is not a whole number, or less than `low`."""
    if at_least(value, name, low) % 1 != 0:
        raise ValueError(f"{name} is {value}; give a whole number")
    return int(value)
