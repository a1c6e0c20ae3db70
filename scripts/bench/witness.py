"""What `crash.py` knows of a life that is killed again and again, from what its processes said; and the table."""

from collections import Counter
from typing import NamedTuple


class Woken(NamedTuple):
    """What a child said when it had woken up: its last act, the last act in its snapshot, its fingerprint, litter."""

    seq: int
    held: int
    fingerprint: str
    litter: int


class Witness:
    """What a life that loses nothing has to be, from what its children said."""

    def __init__(self):
        self.acknowledged = self.begun = 0
        self.nights, self.open_night = set(), None
        self.moments, self.woken, self.faults = Counter(), [], []

    def hear(self, lines, died=True):
        """Take in what a child said, and when it died."""
        for line in lines:
            what, *more = line.split()
            if what.startswith("error"):
                self.faults.append(line)
            elif what == "open":
                self.wakes(Woken(int(more[0]), int(more[1]), more[2], int(more[3])))
            elif what == "do":
                self.begun = int(more[0])
                self.open_night = self.begun if more[1] == "rest" else None
            elif what in ("ack", "night"):
                self.acknowledged = int(more[0])
                if what == "night":
                    self.nights.add(self.acknowledged)
                    self.open_night = None
        if died:
            self.moments[self.moment(lines)] += 1

    @staticmethod
    def moment(lines):
        """In the middle of what it died."""
        if not lines or not any(line.startswith("open") for line in lines):
            return "waking up"
        what, *more = lines[-1].split()
        if what in ("open", "ack", "night"):
            return "between acts"
        return {"do": f"act: {' '.join(more[1:])}", "write": "writing a snapshot"}.get(what, f"rest: {what}")

    def wakes(self, woken):
        """Was everything acknowledged there, and was the night that was killed lived wholly or not at all?"""
        if not self.acknowledged <= woken.seq <= max(self.begun, self.acknowledged):
            self.faults.append(f"acknowledged {self.acknowledged}, begun {self.begun}, woke up with {woken.seq}")
        if self.open_night and woken.held >= self.open_night:
            self.nights.add(self.open_night)
        self.open_night = None
        self.acknowledged = self.begun = woken.seq
        if woken.litter:
            self.faults.append(f"{woken.litter} stale temporary files after act {woken.seq}")
        self.woken.append((woken, len(self.nights)))


def report(witness, lines):
    """The table, and every fault."""
    expected = {(int(seq), int(nights)): said for seq, nights, said in (line.split() for line in lines)}
    for woken, nights in witness.woken:
        if expected.get((woken.seq, nights)) != woken.fingerprint:
            witness.faults.append(
                f"after act {woken.seq} and {nights} nights it was not the life that was never killed"
            )
    print(f"{'killed while':>24}  {'times':>6}")
    for moment, times in sorted(witness.moments.items(), key=lambda item: -item[1]):
        print(f"{moment:>24}  {times:6d}")
    print(f"{'all':>24}  {sum(witness.moments.values()):6d}")
    print(
        f"{witness.acknowledged} acts acknowledged, {len(witness.nights)} nights; woken up {len(witness.woken)} times"
    )
    print(f"{len(witness.faults)} faults (acts lost, lives that do not load or differ from the oracle, stale files)")
    for line in witness.faults[:20]:
        print(f"  {line}")
