"""A life that is talked to: it asks about what it does not know, is corrected, rests in silence, and loses nothing."""

import io
import os
import signal
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import jax
import numpy as np
import optax
import pytest
from omegaconf import OmegaConf
from PIL import Image as pictures
from rich.console import Console

from dellm_jax.architecture import Architecture, Assembly
from dellm_jax.assemblies import Cortex
from dellm_jax.conversation import Conversation
from dellm_jax.conversation.given import lived, read
from dellm_jax.conversation.sleep import drowsy
from dellm_jax.conversation.turns import (
    Ask,
    Confirm,
    Context,
    Drop,
    Exchange,
    Names,
    Tell,
    Undo,
    Wonder,
    doing,
    meant,
)
from dellm_jax.conversation.words import names
from dellm_jax.corrections import AS_IT_THOUGHT
from dellm_jax.errors import ConversationError, CorrectionError, DellmError, ExperienceError, SnapshotError
from dellm_jax.learning import asymmetric_cross_entropy
from dellm_jax.memory import procedural
from dellm_jax.mind import create
from dellm_jax.persistence import Payload
from dellm_jax.rest import consolidate, internalise, retire
from dellm_jax.rest.pieces import in_pieces
from dellm_jax.senses import Image, Text
from dellm_jax.types import Experience, Mind, Schedule
from experiments.command import harmless
from experiments.terminal import MOST_LINE, Terminal

READ = Text(width=40, buckets=256, longest=4, shortest=2, words=1)
BODY = Architecture(
    (READ,),
    (Assembly("reading", ("text",), 16),),
    4,
    16,
    episodic_bytes=41 * 80,
    semantic_chunk=8,
    feedback=False,
    rules=8,
)
MIND = Mind(Cortex, asymmetric_cross_entropy, optax.adam(3e-3), rehearse=4)
birth = partial(create, MIND, BODY, jax.random.key(0))


class Clock:
    """Monotonic seconds that pass when told to."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def talking(folder, **how):
    """A conversation with the tiny life in a folder, that sleeps only when asked to."""
    return Conversation.open(MIND, folder, birth, **{"watch": False, "wall": lambda: 1_800_000_000.7} | how)


NAMES = Names({"seven": 0, "eight": 1}, free=2)
KNEW = Context(Exchange("a.png", None, True, 0, 1))
WONDERS = Context(Exchange("play a song", None, False, 0, 1), asking=True)
TURNS = (
    (Context(), "no more music", Ask("no more music")),
    (Context(), "yes", Ask("yes")),
    (Context(), "the other one", Ask("the other one")),
    (KNEW, "no music please", Ask("no music please")),
    (KNEW, "it is cold", Ask("it is cold")),
    (KNEW, "no, eight", Tell(1)),
    (KNEW, "No: Eight.", Tell(1)),
    (KNEW, "no eight", Tell(1)),
    (KNEW, "no, that is eight", Tell(1)),
    (KNEW, "no, that's a nine", Tell(2, name="nine")),
    (KNEW, "no, shout it", Tell(AS_IT_THOUGHT, answer="shout it")),
    (KNEW, "no, seven", Tell(AS_IT_THOUGHT, answer="seven")),
    (KNEW, "the other one", Tell(1)),
    (KNEW, "no, the other", Tell(1)),
    (KNEW, "NO!", Wonder()),
    (KNEW, "yes", Confirm()),
    (KNEW, "take that back", Undo()),
    (KNEW._replace(asking=True), "shout it", Tell(AS_IT_THOUGHT, answer="shout it")),
    (KNEW._replace(asking=True), "it is nine", Tell(2, name="nine")),
    (WONDERS, "play jazz", Tell(2, name="play jazz")),
    (WONDERS, "seven", Tell(0)),
    (WONDERS, "no, eight", Tell(1)),
    (WONDERS, "never mind", Drop()),
)


@pytest.mark.parametrize(("context", "said", "move"), TURNS)
def test_what_is_said_is_taken_in_the_light_of_the_last(context, said, move):
    """The table in turns.py, case by case."""
    assert meant(context, said, NAMES) == move


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (lambda: meant(Context(), "no", NAMES), "begin with that"),
        (lambda: meant(Context(), "no, seven", NAMES), "begin with that"),
        (lambda: meant(WONDERS, "yes", NAMES), "say what it is"),
        (lambda: meant(Context(KNEW.last._replace(other=-1)), "the other one", NAMES), "nothing else is known"),
        (lambda: meant(WONDERS, "nine", NAMES._replace(free=-1)), "no room for a new concept 'nine'"),
    ],
)
def test_what_is_about_nothing_is_refused(attempt, message):
    """With what to do instead."""
    with pytest.raises(ConversationError, match=message):
        attempt()


def test_what_to_do_about_something_unknown_leaves_it_its_own_name():
    """ "play a song", "/do play jazz"; unless it is a name already, or is too long for one."""
    assert doing(WONDERS, "play jazz", NAMES) == Tell(2, "play jazz", "play a song")
    assert doing(WONDERS, "play jazz", Names({"play a song": 1}, 2)) == Tell(1, "play jazz")
    long = WONDERS._replace(last=WONDERS.last._replace(heard="x" * 300))
    assert doing(long, "play jazz", NAMES) == Tell(2, "play jazz", "play jazz")
    assert doing(KNEW, "shout", NAMES) == Tell(AS_IT_THOUGHT, "shout")


def test_it_is_taught_corrected_confirmed_and_taken_back(tmp_path):
    """From knowing nothing, by talking; and in another process the same."""
    with talking(tmp_path) as talk:
        asked = talk.say("play a song")
        assert (asked.concept, asked.answer, asked.because) == (-1, None, "unknown") and "ask" in asked.did
        assert "from now on" in talk.do("play jazz").did
        assert (talk.say("play a song").answer, talk.say("play a song").because) == ("play jazz", "instance")
        assert talk.say("turn on the light").concept == -1
        assert talk.say("light").understood == "turn on the light is light"
        assert talk.say("turn on the light")[3:5] == ("light", 1)
        assert talk.say("the other one")[3:5] == ("play jazz", 0)
        assert talk.say("turn on the light").answer == "play jazz"
        assert talk.undo()[3:5] == ("light", 1)
        lived = int(talk.home.state.clock.experiences)
        assert "learn" in talk.say("yes").did and int(talk.home.state.clock.experiences) == lived + 1
        assert talk.say("play a song").answer == "play jazz"
        assert talk.no().concept == -1
        assert talk.say("play folk").answer == talk.say("play a song").answer == "play folk"
        assert talk.undo().answer == "play jazz"
        evidence = talk.why()
        assert (evidence["because"], evidence["name"], evidence["when"]) == ("instance", "play a song", 1_800_000_000)
        questions = ("play a song", "turn on the light", "what is the weather")
        said = [talk.say(text)[1:7] for text in questions]
        assert said[2][3] == -1
        before = talk.memory(), talk.status()["acts"]
    with talking(tmp_path) as talk:
        assert [talk.say(text)[1:7] for text in questions] == said
        assert (talk.memory(), talk.status()["acts"]) == before and talk.status()["told"] == []
        with pytest.raises(ConversationError, match="no file"):
            talk.see(tmp_path / "nowhere.png")
        with pytest.raises(ConversationError, match="no file"):
            talk.hear("\0")
        with pytest.raises(ExperienceError, match="empty"):
            talk.say("   ")
        with pytest.raises(CorrectionError, match="300 bytes"):
            talk.no("x" * 300)
        two = Experience({"text": np.ones((2, 40), np.uint8)}, np.zeros(2, np.int32), np.ones(2, np.float32))
        with pytest.raises(ExperienceError, match="one at a time"):
            talk.perceive("two", two)
        assert (talk.memory(), talk.status()["acts"]) == before
        talk.say("never mind")
        assert talk.say("\x1b[31mred\ud800 " * 9).concept == -1  # halves of surrogates, too long, an escape: just text


def test_what_is_merely_asked_is_not_learned(tmp_path):
    """No label comes from the life itself: questions leave it as it was, and no trace on disk."""
    with talking(tmp_path) as talk:
        talk.say("play a song")
        talk.no("music")
        state, acts = talk.home.state, talk.home.seq
        for text in ("play a song", "some music", "never mind", "what is the weather"):
            talk.say(text)
        assert talk.home.state is state and talk.home.seq == acts


def test_silence_begins_a_night_and_a_word_in_it_is_answered_and_kept(tmp_path):
    """The stage waits until it was talked to; what was taught meanwhile is in the life that wakes up."""
    going, talked = threading.Event(), threading.Event()

    def long(mind, state, key):
        going.set()
        assert talked.wait(60)
        yield state, {}
        yield state, {"to_the_end": 1.0}

    clock, states = Clock(), []
    night = (("long", in_pieces(long)), ("never", in_pieces(long)))
    schedule = Schedule(night=night, inactivity_s=60.0)
    with talking(tmp_path, schedule=schedule, clock=clock, on_state=states.append) as talk:
        clock.now = 1000.0
        assert not talk.idle()  # nothing to sleep on
        talk.say("play a song")
        talk.no("music")
        clock.now = 1059.0
        assert not talk.idle()
        clock.now = 1061.0
        assert talk.idle() and going.wait(60)
        assert str(talk.state) == "resting: long, 0%"
        assert talk.say("play a song").answer == "music"
        assert talk.do("play jazz").answer == "play jazz"
        talked.set()
        assert set(talk.rest()) >= {"never/to_the_end", "rolled_back"}  # another night, which goes on after that stage
        assert talk.say("play a song").answer == "play jazz" and talk.state.phase == "listening"
        assert [state.stage for state in states if state.stage] == ["long", "never"]
        clock.now += 61
        assert talk.idle() is False  # there is nothing new
    with talking(tmp_path) as talk:
        assert talk.say("play a song").answer == "play jazz"


def test_by_itself_it_watches_the_time(tmp_path):
    """With a clock of its own, and pressure, in a lull of the conversation."""
    slept = threading.Event()

    def nap(mind, state, key):
        slept.set()
        return state, {}

    clock = Clock()
    schedule = Schedule(night=(("nap", nap),), pressure=0.5, full=1)
    with talking(tmp_path, schedule=schedule, clock=clock, watch=True) as talk:
        talk.say("play a song")
        talk.no("music")
        state = talk.home.state
        assert not drowsy(schedule, state, 1, 1.0) and drowsy(schedule, state, 1, 5.0)
        clock.now = 5.0
        assert slept.wait(60)


def test_a_night_makes_what_it_was_told_its_own(tmp_path):
    """Then a paraphrase is understood, and the rules retire."""
    night = (
        ("internalise", internalise(optax.adam(1e-2), 40, 16, 20)),
        ("consolidate", consolidate()),
        ("retire", retire()),
    )
    with talking(tmp_path, schedule=Schedule(night=night)) as talk:
        for text, name in (("play a song", "music"), ("turn on the light", "light"), ("more light", "light")):
            understood = talk.say(text).answer == name  # what was said of the light speaks for more light
            talk.say("yes") if understood else talk.no(name)
        assert understood and talk.rest()["retire/retired"] == 2
        assert set(map(float, talk.home.state.hyper["trust"].values())) == {1.0}  # nothing is held out yet to judge by
        assert talk.say("some light please").answer == "light" and talk.say("some light please").because == "knowledge"
        assert talk.status()["new_since_rest"] == 0 and talk.status()["corrections_retired"] == 2
        talk.say("play a song")
        assert "what nights have learned" in talk.undo().did


def test_a_night_that_cannot_be_had_is_told_and_changes_nothing(tmp_path):
    """And it is talked to as before."""

    def bad(mind, state, key):
        raise DellmError("the stage is broken")

    with talking(tmp_path, schedule=Schedule(night=(("bad", bad),))) as talk:
        talk.say("play a song")
        talk.no("music")
        talk.rest()
        assert talk.status()["told"] == ["a night was lost: the stage is broken"]
        assert talk.say("play a song").answer == "music"


def test_a_clock_that_goes_back_and_a_night_without_memory_change_nothing_of_what_counts(tmp_path):
    """The newest correction is the one that was given last, whatever the clock says; and nobody minds a SIGTERM."""

    def greedy(mind, state, key):
        raise MemoryError("a gigantic array")

    times = iter((2_000_000_000.0, 1_000_000_000.0, -1e9))
    with talking(tmp_path, schedule=Schedule(night=(("greedy", greedy),)), wall=lambda: next(times)) as talk:
        for answer in ("jazz", "folk", "blues"):
            talk.say("play a song")
            assert talk.do(answer).answer == answer
        assert talk.undo().answer == "folk" and talk.say("play a song").answer == "folk"
        assert talk.rest() == {} and talk.status()["told"] == ["a night was lost: MemoryError: a gigantic array"]
        assert talk.say("play a song").answer == "folk"
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    with talking(tmp_path) as talk:
        assert talk.say("play a song").answer == "folk"


def test_how_far_a_correction_reaches_is_said_and_what_was_told_is_why(tmp_path):
    """In the reply, and by whom, when and about what, the rule that answers first."""
    now = [1_800_000_000.0]
    with talking(tmp_path, wall=lambda: now[0], teacher=7) as talk:
        talk.say("play a song")
        new = "from now on this is a new thing, music; applies to this and what is very like it, and to more after"
        assert talk.no("music").did == f"{new} a night (undo takes it back)"
        assert talk.say("yes").did == "learn that this is music"
        such = "applies to everything taken for music, such as 1 remembered"
        assert talk.do("play jazz").did.startswith(f"from now on: play jazz; {such}; 1 earlier correction counts")
        now[0] += 90
        told = talk.why()["told"]
        assert [(one["about"], one["concept"], one["answer"], one["standing"]) for one in told] == [
            ("play a song", "music", "play jazz", "alive"),
            ("play a song", "music", None, "superseded"),
        ]
        assert {(one["teacher"], one["age_s"]) for one in told} == {(7, 90)}
        talk.say("quite another thing")
        assert talk.no("novelty").answer == "novelty" and len(names(talk.home.state).known) == 2
        assert "and the new thing" in talk.undo().did and names(talk.home.state).known == {"music": 0}
        assert talk.say("quite another thing").concept == -1


def test_what_was_meant_in_a_night_is_meant_in_the_morning(tmp_path):
    """An answer for what something was taken for is for that, though the night comes to take it for another."""
    going, talked = threading.Event(), threading.Event()

    def changes_its_mind(mind, state, key):
        going.set()
        assert talked.wait(60)
        concepts = state.params["concepts"] | {"bias": state.params["concepts"]["bias"].at[1].add(50.0)}
        semantics = {s: known.replace(readout=known.readout * 0) for s, known in state.memory.semantic.items()}
        memory = state.memory.replace(semantic=semantics)
        return state.replace(params=dict(state.params) | {"concepts": concepts}, memory=memory), {}

    with talking(tmp_path, schedule=Schedule(night=(("changes", changes_its_mind),))) as talk:
        talk.home.apply("name", Payload({"names": {"0": "music", "1": "light"}}, {}))
        for concept, text in enumerate(("play a song", "turn on the light")):  # no rule says what they are
            talk.home.apply("experience", lived(read(BODY, text), concept))
        assert talk.say("play a song").answer == "music"
        talk.rest(wait=False)
        assert going.wait(60)
        talk.do("play jazz")
        talked.set()
        talk.rest()
        memory = talk.home.state.memory.procedural
        assert int(memory.concept[int(procedural.newest(memory))]) == 0
        assert talk.say("play a song").answer == "play jazz"
    with talking(tmp_path) as talk:
        assert talk.say("play a song").answer == "play jazz"


def test_a_line_without_end_is_no_command(tmp_path):
    """Its tail is a line only to whoever counts characters; what is piped in and is no text is shown as such."""
    script = f"play a song\n/do play jazz\n{'x' * MOST_LINE}/undo\nplay a song".encode() + b"\n\xff\xfe\n"
    with talking(tmp_path) as talk:
        lines = io.TextIOWrapper(io.BytesIO(script), errors="replace")
        Terminal(lines, Console(file=(told := io.StringIO()), soft_wrap=True), tmp_path).converse(talk)
        said = [" ".join(line.split()) for line in told.getvalue().splitlines()]
        assert f"error a line of {MOST_LINE} characters or more is not taken; cut it" in said
        assert said.count("did play jazz") == 1 and "heard \ufffd\ufffd" in said and talk.home.seq == 1


def test_a_life_that_cannot_be_corrected_is_not_talked_to(tmp_path):
    """It says what it would need, and leaves the folder to others."""
    bare = Architecture((READ,), (Assembly("reading", ("text",), 16),), 4, 16, 41 * 80, feedback=False)
    for _ in range(2):
        with pytest.raises(CorrectionError, match=r"architecture\.rules is 0"):
            Conversation.open(MIND, tmp_path, partial(create, MIND, bare, jax.random.key(0)))


def test_a_picture_is_named_and_recognised(tmp_path):
    """From a file; a body that cannot read is corrected in words all the same."""
    pytest.importorskip("dellm_jax.media")
    image = Image(4, 4, code_side=4, filters=2, kernel=3, stride=1, cells=2)
    body = Architecture((image,), (Assembly("seen", ("image",), 4),), 4, 4, 400, semantic_chunk=8, rules=4)
    for name, grey in (("dark", 20), ("light", 230)):
        picture = np.full((6, 6), grey, np.uint8)
        picture[:3, :3] = 255 - grey
        pictures.fromarray(picture).save(tmp_path / f"{name}.png")
    with Conversation.open(
        MIND, tmp_path / "life", partial(create, MIND, body, jax.random.key(0)), watch=False
    ) as talk:
        assert talk.see(tmp_path / "dark.png")[:3:2] == ("dark.png", "ask: what is it, or what should I do?")
        assert talk.say("night").answer == "night"
        talk.see(tmp_path / "light.png")
        assert talk.say("no, that is day").answer == "day"
        assert [talk.see(tmp_path / f"{name}.png").answer for name in ("dark", "light")] == ["night", "day"]
        with pytest.raises(ExperienceError, match="cannot read"):
            talk.say("hello there")
        (tmp_path / "no.png").write_bytes(b"no picture")
        with pytest.raises(DellmError, match=r"no\.png"):
            talk.see(tmp_path / "no.png")


@pytest.mark.parametrize("name", ["os.system", "dellm_jax.persistence.files.os.system", "optax.a.b", "experiments.log"])
def test_a_life_from_elsewhere_builds_nothing_strange(name, tmp_path):
    """Its configuration may name what is ours and optax's, and nothing that those import."""
    config = OmegaConf.create(
        {"learning": {"awake": {"_target_": "optax.adam"}, "loss": {"path": "dellm_jax.rest.grow"}}}
    )
    assert harmless(config, tmp_path) is config
    for where in ("learning.awake._target_", "learning.loss.path"):
        strange = OmegaConf.merge(config, OmegaConf.from_dotlist([f"{where}={name}"]))
        with pytest.raises(SnapshotError, match=where):
            harmless(strange, tmp_path)


@pytest.mark.slow
def test_a_script_talks_to_it_and_goes_on_tomorrow(tmp_path):
    """The command, piped, twice: the life is there again; errors are lines, and escapes are none."""
    body = ["size=tiny", "stream.senses=[text]", "rest=none", "rules=8", "stream.text.expansion=0", "cycle.rehearse=2"]

    def run(lines, *arguments):
        command = [sys.executable, "-m", "experiments.interact", f"life={tmp_path / 'life'}", *arguments]
        environment = os.environ | {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1", "XDG_CACHE_HOME": str(tmp_path)}
        environment |= {"PYTHONIOENCODING": "utf-8:strict"}  # as where people's locales are not C
        root = Path(__file__).parents[2]
        how = {"encoding": "utf-8", "errors": "surrogateescape", "cwd": root, "env": environment}
        return subprocess.run(command, input=lines, capture_output=True, **how)

    told = run(
        "play a song\n/do play \x1b[31mjazz\nplay a song\n/why\n/no\x07pe\n/see /nowhere\n\udcff\n/quit\nnever\n", *body
    )
    lines = [" ".join(line.split()) for line in told.stdout.splitlines()]
    assert told.returncode == 0 and "Traceback" not in told.stderr and "\x1b" not in told.stdout
    assert "understood nothing that I know" in lines and "did play ␛[31mjazz" in lines
    assert any(line.startswith("why instance: play a song") for line in lines)
    assert "heard \ufffd" in lines  # a byte that is no text
    assert any("there is no command" in line for line in lines) and any("no file '/nowhere'" in line for line in lines)
    again = run("play a song\n")
    assert again.returncode == 0 and "did play ␛[31mjazz" in [" ".join(l.split()) for l in again.stdout.splitlines()]
    refused = run("", *body)
    assert refused.returncode == 2 and "holds a life already" in refused.stderr
