"""The doors through which bad input comes to a life, and what must hold of each: used by `fuzz.py` and the tests."""

import hashlib
import io
import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from unicodedata import category

import jax
import optax
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from mutations import TEXT, bomb, damaged, forged, pictures, sounds
from rich.console import Console

from dellm_jax.architecture import Architecture, Assembly
from dellm_jax.assemblies import Cortex
from dellm_jax.conversation import Conversation
from dellm_jax.errors import DellmError
from dellm_jax.home import Home
from dellm_jax.learning import asymmetric_cross_entropy
from dellm_jax.mind import create
from dellm_jax.persistence import generations, load
from dellm_jax.senses import Audio, Image, Text
from dellm_jax.trees import flat
from dellm_jax.types import Dellm, Mind, Schedule
from experiments.terminal import HELP, Terminal

LIMIT_S = 20.0
OBEYED, TURNING = ("Cc", "Cs", "Zl", "Zp"), "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
BODY = Architecture(
    (
        Text(width=40, buckets=64, longest=3, shortest=2, words=1),
        Image(4, 4, code_side=4, filters=2, kernel=3, stride=1, cells=2),
        Audio(samples=256, frames=1, mels=8, code_frames=1, code_mels=8, filters=4, kernel=3, stride=1, cells=1),
    ),
    (Assembly("all", ("text", "image", "audio"), 8),),
    16,
    8,
    episodic_bytes=9_000,
    semantic_chunk=8,
    feedback=False,
    rules=12,
)
MIND = Mind(Cortex, asymmetric_cross_entropy, optax.with_extra_args_support(optax.adam(1e-3)), rehearse=2)
newborn = partial(create, MIND, key=jax.random.key(0))


def digest(state: Dellm) -> str:
    """Every bit of a life."""
    whole = hashlib.sha256()
    for path, leaf in flat(state).items():
        data = jax.random.key_data(leaf) if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf
        whole.update(f"{path} {data.dtype} {data.shape}".encode() + jax.device_get(data).tobytes())
    return whole.hexdigest()


@dataclass
class Bench:
    """A life that is talked to in `folder`, and another, killed, with the digests of what it was after every act."""

    folder: Path
    talk: Conversation
    killed: Path
    lived: list[str]
    nights: bool
    taken: Counter = field(default_factory=Counter)
    refused: Counter = field(default_factory=Counter)
    slowest: Counter = field(default_factory=Counter)

    def case(self, surface: str, act: Callable[[], object]) -> object:
        """What `act` returns; None if it is refused, as it should be: in one line, and nothing has changed."""
        home, began = self.talk.home, time.monotonic()
        before, seq = digest(home.state), home.seq
        try:
            result = act()
            self.taken[surface] += 1
            if home.seq == seq:
                assert digest(home.state) == before, "the life changed, and no act was written down"
            return result
        except DellmError as error:
            self.refused[surface] += 1
            assert "\n" not in str(error) and len(str(error)) < 4000, str(error)
            assert (digest(home.state), home.seq) == (before, seq), "refused, and yet the life changed"
            return None
        finally:
            took = time.monotonic() - began
            self.slowest[surface] = max(self.slowest[surface], took)
            assert took < LIMIT_S, f"{surface}: a case took {took:.1f} s"


def opened(folder: Path) -> Conversation:
    """The small life in a folder, which sleeps only when told to."""
    return Conversation.open(MIND, folder, partial(newborn, BODY), Schedule(night=()), watch=False, wall=lambda: 0.0)


def bench(folder: Path, nights: bool = True) -> Bench:
    """Both lives. The killed one has two snapshots, and acts of every kind in the log of its journal.

    Without `nights` none may be asked for, which are compiled for longer than all else.
    """
    with opened(folder / "own") as talk:
        home = talk.home
        lived = [digest(home.state)]

        def act(turn: Callable, *given: str) -> None:
            turn(*given)
            if len(lived) <= home.seq:
                lived.append(digest(home.state))

        for turn, *given in (
            (talk.say, "play a song"), (talk.do, "play jazz"), (talk.say, "play a song"), (talk.say, "yes"),
            (talk.say, "light"), (talk.no, "lamp"), (talk.save,), (talk.say, "no, lantern"), (talk.undo,),
            (talk.say, "more light"), (talk.no, "lamp"), (talk.say, "yes"),
        ):  # fmt: skip
            act(turn, *given)
        assert len(lived) == home.seq + 1
        shutil.copytree(folder / "own", folder / "killed")
    (folder / "files").mkdir()
    talk = opened(folder / "talk")
    if nights:
        talk.ready()
        talk.rest()
    return Bench(folder, talk, folder / "killed", lived, nights)


def snapshot(bench: Bench, data: st.DataObject) -> None:
    """A snapshot that is damaged or forged is the life that was saved, or it is refused."""
    good = generations(bench.killed)[0][1].read_bytes()
    other = generations(bench.killed)[-1][1].read_bytes()
    path = bench.folder / "files" / "snapshot"
    path.write_bytes(data.draw(st.one_of(damaged([good, other]), forged(good)), label="snapshot"))
    state = bench.case("snapshot", lambda: load(path, newborn))
    if state is not None and digest(state) != (kept := digest(load(generations(bench.killed)[0][1], newborn))):
        assert digest(state) == digest(load(generations(bench.killed)[-1][1], newborn)), kept


def journal(bench: Bench, data: st.DataObject) -> None:
    """A folder with a damaged file is the life as it was, or an earlier moment of it, and says so, or is refused."""
    folder = bench.folder / "files" / "life"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(bench.killed, folder)
    names = sorted(path.name for path in bench.killed.iterdir() if path.name != "lock")
    name = data.draw(st.sampled_from(names), label="file")
    goods = [(bench.killed / one).read_bytes() for one in dict.fromkeys([name, *names])]
    (folder / name).write_bytes(data.draw(damaged(goods[:1]) | damaged(goods), label="bytes"))

    def again() -> None:
        with Home.open(MIND, folder, batch=1) as home:
            assert digest(home.state) == bench.lived[home.seq]
            assert home.seq == len(bench.lived) - 1 or home.told

    bench.case("journal", again)


def shown(bench: Bench, data: st.DataObject, surface: str, goods: list[bytes]) -> None:
    """A picture or a sound that is damaged is taken, or refused; asked about, it changes nothing."""
    path = bench.folder / "files" / surface
    path.write_bytes(data.draw(damaged(goods) | st.binary(max_size=300), label=surface))
    turn = bench.talk.see if surface == "image" else bench.talk.hear
    bench.case(surface, lambda: turn(path))


def text(bench: Bench, data: st.DataObject) -> None:
    """Turns of a conversation, in any order, with any text; every second time something is said, and corrected."""
    talk = bench.talk
    turns = {"say": talk.say, "do": talk.do, "no": talk.no}
    bare = {"undo": talk.undo, "why": talk.why, "memory": talk.memory, "status": talk.status, "idle": talk.idle}
    order = data.draw(
        st.sampled_from([("say", "no"), ("say", "do"), ("undo",), ("say", "no", "undo"), ()]), label="told"
    )
    for _ in range(data.draw(st.integers(0, 3))):
        order = (*order, data.draw(st.sampled_from([*turns, *bare]), label="turn"))
    for turn in order:
        act = partial(turns[turn], data.draw(TEXT, label="said")) if turn in turns else bare[turn]
        bench.case("text", act)


LINE = st.one_of(
    TEXT.map(lambda said: said.encode(errors="surrogatepass")),
    st.binary(max_size=40),
    st.tuples(st.sampled_from([name for name in HELP if name not in ("listen", "quit")]), TEXT).map(
        lambda parts: f"/{parts[0]} {parts[1]}".encode(errors="surrogatepass")
    ),
    st.sampled_from(
        [b"/see /dev/zero", b"/hear /", b"/see \0", b"/hear " + b"x" * 5000, b"/quit now", b"/ why", b"//"]
    ),
)


def console(bench: Bench, data: st.DataObject) -> None:
    """A script is piped in: every line is answered, and no byte of it is obeyed by a terminal."""
    lines = data.draw(st.lists(LINE, min_size=1, max_size=6), label="script")
    script = b"\n".join(line for line in lines if bench.nights or not line.startswith(b"/rest"))
    said = io.StringIO()
    lines = io.TextIOWrapper(io.BytesIO(script), encoding="utf-8", errors="replace")
    bench.case(
        "console", lambda: Terminal(lines, Console(file=said, soft_wrap=True), bench.folder).converse(bench.talk)
    )
    told = said.getvalue()
    assert "this is a bug" not in told, told
    obeyed = [c for c in told.replace("\n", "") if category(c) in OBEYED or c in TURNING]
    assert not obeyed, (obeyed, told)


SURFACES = {
    "snapshot": snapshot,
    "journal": journal,
    "image": partial(shown, surface="image", goods=[*pictures(), bomb(30_000, 30_000), bomb(2**31 - 1, 9)]),
    "audio": partial(shown, surface="audio", goods=sounds()),
    "text": text,
    "console": console,
}


def run(bench: Bench, surface: str, examples: int, number: int) -> None:
    """So many examples of a surface. Raises what the first fault raises, with the smallest input that shows it."""

    @seed(number)
    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck),
              phases=[Phase.generate, Phase.shrink], print_blob=False)  # fmt: skip
    @given(data=st.data())
    def cases(data: st.DataObject) -> None:
        SURFACES[surface](bench, data)

    cases()


def reopened(bench: Bench) -> None:
    """Another process would find what was acknowledged."""
    folder, home = bench.folder / "files" / "again", bench.talk.home
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(home.folder, folder)
    with Home.open(MIND, folder, batch=1) as again:
        assert (again.seq, digest(again.state)) == (home.seq, digest(home.state)), "what was acknowledged is not there"
