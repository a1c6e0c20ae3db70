"""A life that sees and hears digits together and is told nothing: what it finds, recalls, doubts and keeps."""

from functools import partial

import jax
import numpy as np
import optax
import pytest

from dellm_jax.acts import moment
from dellm_jax.architecture import Architecture, Assembly
from dellm_jax.assemblies import Cortex
from dellm_jax.conversation.familiar import limits
from dellm_jax.conversation.thoughts import evidence, thought, understood
from dellm_jax.conversation.turns import Exchange
from dellm_jax.home import Home
from dellm_jax.learning import asymmetric_cross_entropy
from dellm_jax.mind import create, respond
from dellm_jax.persistence import load, save
from dellm_jax.recall import recall, retrieve
from dellm_jax.rest import bind, rest
from dellm_jax.senses import Audio, Image
from dellm_jax.streams import digits
from dellm_jax.streams.corpus import gather
from dellm_jax.trees import flat
from dellm_jax.types import UNNAMED, Experience, Mind

BODY = Architecture(
    (
        Image(8, 8, code_side=8, kernel=3, stride=1, filters=8, cells=3),
        Audio(6000, filters=8, code_frames=16, code_mels=16),
    ),
    (Assembly("both", ("image", "audio"), 8),),
    16,
    8,
    episodic_bytes=100_000,
    semantic_chunk=48,
    feedback=False,
    rules=2,
    binding=16,
)
MIND = Mind(Cortex, asymmetric_cross_entropy, optax.adam(3e-3), rehearse=4)
CORPUS = digits()
BATCH = 48
NIGHT = (("bind", bind()),)


def some(rows, split="train", named=False, senses=("image", "audio")):
    """These examples of the digits as one batch."""
    part = getattr(CORPUS, split)
    items = gather(part, rows)
    target = part.target[rows] if named else np.full(rows.size, UNNAMED, np.int32)
    return Experience({sense: items[sense] for sense in senses}, target, np.ones(rows.size, np.float32))


@pytest.fixture(scope="module")
def life():
    """It lived all digits once, by one program, and slept; nobody named any."""
    state, programs = create(MIND, BODY, jax.random.key(0)), moment._cache_size() + 1
    for rows in np.random.default_rng(0).permutation(1437)[: 29 * BATCH].reshape(-1, BATCH):
        state, _ = moment(MIND, state, some(rows))
    assert moment._cache_size() == programs
    return rest(MIND, NIGHT, state, jax.random.key(1))


@pytest.fixture(scope="module")
def asked():
    """Unseen pictures and unheard clips, and which digits they are."""
    rows = np.random.default_rng(1).permutation(360)
    return rows, CORPUS.test.target[rows]


def first(state, query, collection):
    """The first found of each."""
    return retrieve(MIND, state, query, collection)[:, 0]


@pytest.mark.parametrize(("one", "other"), [("image", "audio"), ("audio", "image")])
def test_the_same_digit_is_found_through_the_other_sense(life, asked, one, other):
    """Seven times as often as by chance, of unseen things, in the morning; and its night is kept."""
    (state, report), (rows, target) = life, asked
    found = first(state, some(rows, "test", senses=(one,)), some(rows, "test", senses=(other,)))
    assert (target[found] == target).mean() > 0.7
    assert report["bind/kept"] == 1 and report["bind/information_after"] > 2 and 0 < report["bind/chance"] < 0.9


def test_no_name_came_of_it(life):
    """No concept was born, no episode filed, nothing is known of any concept."""
    state, _ = life
    assert not np.asarray(state.homeostasis["concepts"]["active"]).any()
    assert not np.asarray(state.memory.episodic.kept).any()
    assert not any(np.asarray(known.total).any() for known in state.memory.semantic.values())


def test_what_it_would_sound_like_comes_to_mind(life, asked):
    """A clip that was lived, mostly of the digit that is seen; of no concept."""
    (state, _), (rows, target) = life, asked
    found = recall(MIND, state, some(rows, "test", senses=("image",)), "audio")
    (hearing,) = (sense for sense in BODY.senses if sense.name == "audio")
    codes = np.asarray(jax.jit(hearing.encode)(CORPUS.train.banks["audio"]))
    label = np.full(len(codes), -1)
    label[CORPUS.train.index["audio"]] = CORPUS.train.target
    of = {code.tobytes(): digit for code, digit in zip(codes, label, strict=True)}
    assert np.mean([of[code.tobytes()] == digit for code, digit in zip(found.codes, target, strict=True)]) > 0.7
    assert (found.concept == -1).all() and found.found.all() and ((found.sure > 0) & (found.sure <= 1)).all()
    newborn = create(MIND, BODY, jax.random.key(0))
    nothing = recall(MIND, newborn, some(rows, "test", senses=("image",)), "audio")
    assert not nothing.found.any() and not nothing.codes.any()


@pytest.fixture(scope="module")
def told(life):
    """The same life, that then is told the names of some."""
    state, _ = life
    for rows in np.random.default_rng(2).permutation(1437)[: 10 * BATCH].reshape(-1, BATCH):
        state, _ = moment(MIND, state, some(rows, named=True))
    return rest(MIND, NIGHT, state, jax.random.key(2))[0]


def test_a_conflict_lowers_the_confidence_and_is_told(told, asked):
    """A picture beside the clip of another digit: more conflict than beside its own in 9 of 10, and less sure."""
    rows, target = asked
    alike = some(rows, "test")
    wrong = np.array([np.flatnonzero(target != digit)[0] for digit in target])
    unlike = alike.replace(senses=alike.senses | {"audio": alike.senses["audio"][wrong]})
    one, other = (respond(MIND, told, pairs) for pairs in (alike, unlike))
    above = np.asarray(other.conflict)[:, None] > np.asarray(one.conflict)[None]
    assert above.mean() > 0.9
    assert np.asarray(other.confidence).mean() < 0.5 * np.asarray(one.confidence).mean()
    np.testing.assert_array_equal(one.concept, one.log_probability.argmax(1))  # who doubts does not change its mind
    alone = respond(MIND, told, some(rows, "test", senses=("image",)))
    assert alone.conflict is None

    worst = int(np.asarray(other.conflict).argmax())
    single = jax.tree.map(lambda leaf: leaf[worst : worst + 1], unlike)
    said = thought(told, "this", single, respond(MIND, told, single), limits(told))
    assert said.conflict > 0.9 and "does not belong together" in understood(told, said)
    assert evidence(MIND, told, Exchange("this", single, True, 0, -1), 0)["conflict"] == pytest.approx(said.conflict)


def test_it_comes_back_from_a_snapshot_and_from_a_journal(life, tmp_path):
    """Bit for bit; what nobody named is an act as any other."""
    state, _ = life
    newborn = partial(create, MIND, key=jax.random.key(0))
    again = load(save(tmp_path / "life.safetensors", MIND, state), newborn)
    assert same(again, state)
    with Home.open(MIND, tmp_path / "home", lambda: state, batch=BATCH) as home:
        home.experience(some(np.arange(BATCH)))
        lived = home.state
        moments, sums = int(lived.memory.binding.moments.seen), float(lived.memory.binding.count[0, 1])
    with Home.open(MIND, tmp_path / "home", batch=BATCH) as home:
        assert same(home.state, lived)
    known = state.memory.binding
    assert moments + sums == int(known.moments.seen) + float(known.count[0, 1]) + BATCH


def same(one, other):
    """Equal in every bit."""

    def raw(life):
        keys = jax.dtypes.prng_key
        data = {p: jax.random.key_data(x) if jax.dtypes.issubdtype(x.dtype, keys) else x for p, x in flat(life).items()}
        return {path: np.asarray(leaf).tobytes() for path, leaf in data.items()}

    return one.architecture == other.architecture and raw(one) == raw(other)
