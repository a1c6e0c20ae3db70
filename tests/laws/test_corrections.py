"""Do it this way: a correction acts on the next call, is undone, explained, and survives nights by becoming its own."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from small_lives import assert_same

from dellm_jax import amend, corrections, experience, obey, surgery
from dellm_jax.acts import ACTS, experience_payload
from dellm_jax.architecture import Architecture, Assembly
from dellm_jax.assemblies import Cortex
from dellm_jax.conversation.words import names
from dellm_jax.corrections import AS_IT_THOUGHT, correct, said, undo, why
from dellm_jax.errors import ArchitectureError, CorrectionError, ExperienceError
from dellm_jax.learning import asymmetric_cross_entropy
from dellm_jax.memory import episodic, procedural, semantic, symmetric
from dellm_jax.mind import awake, create, respond
from dellm_jax.persistence import load, save
from dellm_jax.rest import consolidate, internalise, rest, retire
from dellm_jax.rest.internalise import told_among_episodes
from dellm_jax.rest.judge import harmed, judge
from dellm_jax.senses import Text
from dellm_jax.trees import copy, flat
from dellm_jax.types import Experience, Mind

READ = Text(width=32, buckets=256, longest=3)
HEARD = Text(width=32, buckets=256, longest=3, name="heard")  # a second sense that is as quick to compile
BODY = Architecture(
    (READ, HEARD),
    (Assembly("both", ("text", "heard"), 24),),
    8,
    24,
    episodic_bytes=65 * 120,
    semantic_chunk=8,
    feedback=False,
    rules=8,
)
MIND = Mind(Cortex, asymmetric_cross_entropy, optax.adam(3e-3), rehearse=4)
CODES = {sense.name: sense.code_bytes for sense in BODY.senses}
LIGHT, MUSIC, NEW = 0, 1, 5
PHRASES = {LIGHT: ("turn on the light", "lights on please", "more light"), MUSIC: ("play a song", "some music", "sing")}
NIGHT = (
    ("internalise", internalise(optax.adam(1e-2), 60, 16, 20)),
    ("consolidate", consolidate()),
    ("retire", retire()),
)


def utterance(text, concept=LIGHT, sense="text"):
    """One experience of one sense."""
    raw = np.zeros((1, 32), np.uint8)
    raw[0, : len(text)] = list(text.encode())
    return Experience({sense: raw}, np.int32([concept]), np.ones(1, np.float32))


@pytest.fixture(scope="module")
def life():
    """A life that knows two concepts by name, read and heard."""
    spoken = [(text, concept) for concept, texts in PHRASES.items() for text in texts]
    random, state = np.random.default_rng(0), create(MIND, BODY, jax.random.key(0))
    days = []
    for _ in range(60):
        row = [spoken[i] for i in random.integers(0, len(spoken), 4)]
        each = [utterance(*one) for one in row]
        raw = np.concatenate([one.senses["text"] for one in each])
        days.append(Experience({"text": raw, "heard": raw}, np.int32([c for _, c in row]), np.ones(4, np.float32)))
    state, _ = awake(MIND, state, jax.tree.map(lambda *xs: np.stack(xs), *days))
    state, _ = rest(MIND, (("consolidate", consolidate()),), state, jax.random.key(1))
    return corrections.name(state, {LIGHT: "light", MUSIC: "music"})


def ask(state, text, sense="text"):
    """The concept and the words."""
    response = respond(MIND, state, utterance(text, sense=sense))
    return int(response.concept[0]), said(state, response)[0]


def told(state, text, concept=AS_IT_THOUGHT, answer=None, **how):
    """After one correction."""
    return correct(MIND, state, utterance(text, concept), answer, **how)[0]


def test_what_was_taught_for_one_instance_holds_for_its_concept_and_through_every_sense(life):
    """Said once in writing, obeyed at once, for other words of the concept and for what is heard; others stay."""
    state = told(life, "play a song", answer="play jazz")
    assert {ask(state, text, sense) for text in PHRASES[MUSIC] for sense in ("text", "heard")} == {(MUSIC, "play jazz")}
    assert all(ask(state, text, sense) == (LIGHT, "light") for text in PHRASES[LIGHT] for sense in ("text", "heard"))


def test_an_answer_for_this_instance_only_leaves_its_concept_alone(life):
    """Not general."""
    state = told(life, "play a song", answer="play jazz", general=False)
    assert ask(state, "play a song") == (MUSIC, "play jazz") and ask(state, "some music") == (MUSIC, "music")


def test_what_it_is_can_be_corrected_without_a_step_of_learning(life):
    """The instance is another concept from the next call on; body and learner are as they were."""
    state = told(life, "some music", LIGHT)
    assert ask(state, "some music") == (LIGHT, "light") and ask(state, "play a song") == (MUSIC, "music")
    for part in ("params", "learner", "clock", "key"):
        before, after = jax.tree.leaves(getattr(life, part)), jax.tree.leaves(getattr(state, part))
        assert all(bool((a == b).all()) for a, b in zip(before, after, strict=True)), part


def readouts_agree(one, other):
    """To a hundredth of their size."""
    return jnp.linalg.norm(one.readout - other.readout) < 0.01 * jnp.linalg.norm(other.readout)


def test_semantic_memory_is_solved_whenever_it_has_gathered_its_fill(life):
    """Of corrections, and of a life that was lived to the brim: nothing that waits there is lost."""
    rows = [utterance(text, MUSIC) for text in "abcdefgh"]
    together = jax.tree.map(lambda *raw: np.concatenate(raw)[None], *rows)
    brim, _ = awake(MIND, copy(life), together)
    assert int(brim.memory.semantic["text"].fill) == BODY.semantic_chunk
    for state, say in ((brim, "i"), (life, "abcdefgh")):
        after = state
        for text in say:
            after = told(after, text, MUSIC)
        known, before = after.memory.semantic["text"], state.memory.semantic["text"]
        assert int(known.fill) == len(say) % BODY.semantic_chunk
        many = known.total.shape[1]
        now, then = (symmetric.dense(semantic.absorb(one).gram, many) for one in (known, before))
        texts = np.concatenate([utterance(text).senses["text"] for text in say])
        features = experience.features_of(after, experience.Percepts({"text": READ.perceive(texts)}, {}))["text"]
        assert jnp.allclose(now - then, corrections.WEIGHT * features.T @ features, atol=1e-3)
        gathered = before if state is brim else known
        assert readouts_agree(known, semantic.solve(gathered))
        followed = semantic.follow(semantic.absorb(gathered).replace(readout=before.readout), 1)
        assert not readouts_agree(known, before) and not readouts_agree(known, followed)


def test_what_was_solved_with_a_correction_is_solved_without_it_when_undone(life):
    """The eighth is in the readout at once, and leaves it at once; the first seven stay."""
    seven = life
    for text in "abcdefg":
        seven = told(seven, text, MUSIC)
    eight = told(seven, "h", MUSIC)
    undone, _ = undo(MIND, eight)
    wanted = semantic.solve(seven.memory.semantic["text"])
    assert readouts_agree(undone.memory.semantic["text"], wanted)
    assert not readouts_agree(eight.memory.semantic["text"], wanted)


def test_a_new_concept_is_born_by_a_correction(life):
    """Nobody lived it, and it is answered at once."""
    state = told(life, "quite another thing", NEW, "hum")
    assert ask(state, "quite another thing") == (NEW, "hum") and ask(state, "more light") == (LIGHT, "light")


def test_of_two_corrections_the_newer_counts_and_undo_brings_back_the_older(life):
    """A conflict about the same concept, then one about the same instance; undone one after the other."""
    one = told(life, "play a song", answer="play jazz")
    two = told(one, "some music", answer="play folk")
    assert ask(two, "play a song")[1] == ask(two, "some music")[1] == "play folk"
    three = told(two, "some music", LIGHT)
    assert ask(three, "some music") == (LIGHT, "light") and ask(three, "play a song")[1] == "music"
    for state, expected in ((three, "play folk"), (two, "play jazz"), (one, "music")):
        assert ask(undo(MIND, state)[0], "play a song")[1] == expected
    with pytest.raises(CorrectionError, match="no correction left"):
        undo(MIND, life)


def test_another_answer_for_a_concept_leaves_what_its_instances_are(life):
    """Only the answer is given up, also after a night and when there is no room; undone, it is back."""
    one = told(life, "some music", LIGHT, "dim it")
    two = told(one, "more light", answer="brighten it")
    assert ask(two, "some music") == (LIGHT, "brighten it") and ask(two, "brighter") == (LIGHT, "brighten it")
    assert correct(MIND, one, utterance("more light", AS_IT_THOUGHT), "brighten it")[1]["superseded"] == 1
    assert ask(undo(MIND, two)[0], "some music") == (LIGHT, "dim it") == ask(undo(MIND, two)[0], "more light")
    woken, _ = rest(MIND, NIGHT, two, jax.random.key(2))
    assert ask(woken, "some music") == (LIGHT, "brighten it")
    for thing in ("apple", "bread", "cheese", "dumpling", "egg", "fish"):
        woken = told(woken, thing, answer=thing.upper(), general=False)
    for state in (woken, told(woken, "grape", answer="GRAPE", general=False)):  # then its rule gives way, retired
        assert ask(state, "more light") == (LIGHT, "brighten it")


def test_the_newest_of_many_teachers_wins_always(life):
    """60 corrections in any order, by teachers who contradict each other and whose clocks differ: after each, what was
    said last of an instance is what it is, and of the answers that still count the newest of a concept holds for it."""
    random, state, texts = np.random.default_rng(0), life, [text for of_one in PHRASES.values() for text in of_one]
    rules = {}

    def expected():
        newest = {concept: answer for concept, _, answer in sorted(rules.values(), key=lambda rule: rule[1])}
        return {text: (concept, newest[concept]) for text, (concept, _, _) in rules.items()}

    for number in range(60):
        text, teacher, when = str(random.choice(texts)), int(random.integers(9)), int(random.integers(1 << 32))
        rules[text] = (int(random.choice([LIGHT, MUSIC])), number, f"answer {number}")
        state = told(state, text, rules[text][0], rules[text][2], teacher=teacher, when=when)
        assert ask(state, text) == (rules[text][0], f"answer {number}")
        memory = state.memory.procedural
        assert int(memory.teacher[int(procedural.newest(memory))]) == teacher
        if number % 10 == 9:
            assert {text: ask(state, text) for text in rules} == expected()
    woken, _ = rest(MIND, NIGHT, state, jax.random.key(4))
    assert {text: ask(woken, text) for text in rules} == expected()


def test_what_is_said_a_thousand_times_is_told_once(life):
    """One rule says so, semantic memory observes the instance once, and other things are as they were; one undo takes
    it back, and what it contradicted counts again."""
    before = told(life, "some music", answer="jazz")
    once = state = told(before, "some music", LIGHT)
    for _ in range(1000):
        state = told(state, "some music", LIGHT)
    assert int(state.memory.procedural.taught) == 1002 and ask(state, "some music") == (LIGHT, "light")
    assert (state.memory.procedural.standing == once.memory.procedural.standing).all()
    assert ask(undo(MIND, state)[0], "some music") == (MUSIC, "jazz") == ask(before, "some music")
    for text in (*PHRASES[LIGHT], "play a song", "sing"):
        assert ask(state, text) == ask(once, text)
    for sense, known in once.memory.semantic.items():
        np.testing.assert_allclose(state.memory.semantic[sense].count, known.count, rtol=1e-6)


def test_what_something_was_taken_for_is_not_asked_again(life):
    """An answer is for the concept that was meant, though a night has changed its mind since; nothing is observed."""
    state = told(life, "play a song", answer="hum", taken_for=LIGHT)
    assert ask(state, "more light") == (LIGHT, "hum") and ask(state, "sing") == (MUSIC, "music")
    assert ask(state, "play a song") == (LIGHT, "hum")
    assert bool((state.memory.semantic["text"].count == life.memory.semantic["text"].count).all())


def test_undo_takes_back_what_semantic_memory_observed(life):
    """Sums are what they were, but for rounding; no rule is left."""
    state, report = undo(MIND, told(life, "some music", LIGHT))
    assert (
        report == {"rule": 0.0, "retired": 0.0, "unborn": 0.0} and int(procedural.newest(state.memory.procedural)) == -1
    )
    for sense, known in life.memory.semantic.items():
        after = state.memory.semantic[sense]
        np.testing.assert_allclose(after.count, known.count, atol=1e-5)
        np.testing.assert_allclose(after.total, known.total, atol=1e-4)


def of_a_new_one(state, text="quite another thing", concept=NEW, called="thing"):
    """After a correction that names a concept there was not, as a conversation gives it."""
    meta = {"answer": "hum", "general": True, "teacher": 0, "when": 9, "name": called}
    return ACTS["correct"](MIND, state, experience_payload(utterance(text, concept), **meta))[0]


def test_undoing_a_new_concept_gives_its_place_and_its_name_back(life):
    """As it was in every leaf, but for the count of rules and rounding; so it can be told something else there."""
    settled = amend.anew(MIND, absorbed(life))
    state, report = undo(MIND, of_a_new_one(life))
    assert report["unborn"] == 1
    taught = state.memory.procedural.taught
    memory = state.memory.procedural.replace(taught=life.memory.procedural.taught)
    after = flat(absorbed(state.replace(memory=state.memory.replace(procedural=memory))))
    assert int(taught) == 1 and after.keys() == flat(settled).keys()
    for path, leaf in flat(settled).items():
        if jnp.issubdtype(leaf.dtype, jnp.floating):
            np.testing.assert_allclose(after[path], leaf, atol=1e-4, err_msg=path)
        else:
            assert bool((after[path] == leaf).all()), path
    again = of_a_new_one(state, "brand new", NEW, "novelty")
    assert ask(again, "brand new") == (NEW, "hum") and names(again).known["novelty"] == NEW


@pytest.mark.parametrize("how", ["another rule", "lived", "a night", "known before"])
def test_a_concept_of_which_anything_else_was_learned_keeps_its_place(life, how):
    """Whatever it was, and whoever taught it."""
    state = of_a_new_one(life)
    if how == "another rule":
        state = of_a_new_one(told(life, "something else", NEW))
    elif how == "lived":
        state, _ = ACTS["experience"](MIND, state, experience_payload(utterance("other things", NEW), batch=1))
    elif how == "a night":
        state, _ = rest(MIND, NIGHT, state, jax.random.key(2))
    else:
        state = told(life, "some music", LIGHT)
    concept = LIGHT if how == "known before" else NEW
    after, report = undo(MIND, state)
    assert report["unborn"] == 0 and float(after.homeostasis["concepts"]["active"][concept]) == 1
    assert names(after).free not in (LIGHT, MUSIC, concept) and procedural.newest(after.memory.procedural) < 1


def absorbed(state):
    """With nothing pending in semantic memory, which forgets in the sums at once and in the readout later."""
    semantics = {sense: semantic.absorb(known) for sense, known in state.memory.semantic.items()}
    return state.replace(memory=state.memory.replace(semantic=semantics))


def test_why_names_the_memory_that_spoke(life):
    """Knowledge, then a rule of the concept, then the instance itself, with who taught it and when."""
    assert why(MIND, life, utterance("some music"))["because"] == "knowledge"
    state = told(life, "play a song", answer="play jazz", teacher=3, when=1_800_000_000)
    evidence = why(MIND, state, utterance("some music"))
    assert evidence["because"] == "rule" and (evidence["teacher"], evidence["when"]) == (3, 1_800_000_000)
    assert evidence["answer"] == "play jazz" and evidence["by"]["cortex"][0][0] == MUSIC
    assert why(MIND, state, utterance("play a song"))["because"] == "instance"


def test_a_night_makes_rules_its_own_and_retires_them(life):
    """Verified on their own cases, they retire as habits and episodes; it obeys when rules and episodes are gone."""
    state = told(
        told(told(life, "brighter", LIGHT), "play a song", answer="play jazz"), "quite another thing", NEW, "hum"
    )
    woken, report = rest(MIND, NIGHT, state, jax.random.key(2))
    assert report["retire/retired"] == 3 and report["retire/alive"] == 0 and report["rolled_back"] == 0
    assert int(woken.memory.episodic.kept[NEW]) == 1
    memory, blank = woken.memory.procedural, procedural.empty(CODES, BODY.rules, BODY.concepts)
    gone = woken.memory.replace(
        procedural=blank.replace(named=memory.named, habit=memory.habit),
        episodic=episodic.empty(CODES, BODY.episodic_bytes, BODY.concepts),
    )
    for state in (woken, woken.replace(memory=gone)):
        assert ask(state, "brighter")[0] == LIGHT and ask(state, "some music") == (MUSIC, "play jazz")
        assert ask(state, "quite another thing") == (NEW, "hum") and ask(state, "more light")[0] == LIGHT


@pytest.mark.parametrize(("rules", "lived", "share"), [(1, 60, 0.25), (8, 24, 0.25), (8, 12, 0.4), (8, 2, 0.5)])
def test_rules_weigh_at_night_what_they_would_as_episodes(life, rules, lived, share):
    """R / (R + N), a quarter at least and half at most."""
    state = life
    for thing in ("apple", "bread", "cheese", "dumpling", "egg", "fish", "grape", "honey")[:rules]:
        state = told(state, thing, NEW)
    known = state.memory.episodic
    known = known.replace(kept=jnp.zeros_like(known.kept).at[LIGHT].set(lived))
    state = state.replace(memory=state.memory.replace(episodic=known))
    _, lesson = told_among_episodes(16)(MIND, state, None, jax.random.key(0))
    rule, episode = float(lesson.weight[0]), float(lesson.weight[8:].max())
    assert (lesson.target[:8] == NEW).all() and rule / (rule + episode) == pytest.approx(share)


def test_an_answer_alone_is_a_habit_and_no_lesson(life):
    """The instance is what it was taken for, so the cortex has nothing to learn: its rule retires, its body stays."""
    woken, report = rest(MIND, NIGHT, told(life, "play a song", answer="play jazz"), jax.random.key(2))
    assert report["retire/retired"] == 1 and "internalise/updates" not in report
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), woken.params, life.params))
    assert ask(woken, "some music") == (MUSIC, "play jazz")


def test_an_answer_for_one_instance_never_retires(life):
    """Nothing but its rule can know it."""
    woken, report = rest(MIND, NIGHT, told(life, "sing", answer="la la", general=False), jax.random.key(2))
    assert report["retire/retired"] == 0 and ask(woken, "sing") == (MUSIC, "la la")


def test_a_retired_rule_that_is_no_longer_obeyed_comes_back(life):
    """A stage spoils what the network had learned of it: the rule is alive again, and is obeyed."""
    state, _ = rest(MIND, NIGHT, told(life, "brighter", LIGHT), jax.random.key(2))
    assert int(state.memory.procedural.standing[0]) == procedural.RETIRED

    def spoiled(mind, state, key):
        semantics = {s: k.replace(readout=k.readout * 0) for s, k in state.memory.semantic.items()}
        concepts = state.params["concepts"] | {"bias": state.params["concepts"]["bias"].at[MUSIC].add(30.0)}
        memory = state.memory.replace(
            semantic=semantics, episodic=episodic.empty(CODES, BODY.episodic_bytes, BODY.concepts)
        )
        return state.replace(params=dict(state.params) | {"concepts": concepts}, memory=memory), {}

    woken, report = rest(MIND, (("spoiled", spoiled),), state, jax.random.key(3))
    assert report["rules_back"] == 1 and report["rolled_back"] == 0 and ask(woken, "brighter")[0] == LIGHT


def test_a_retired_rule_that_living_ones_speak_against_comes_back(life):
    """Knowledge by itself would obey it, fast weights now say otherwise: no reason to undo a night."""
    state, _ = rest(MIND, NIGHT, told(life, "another thing", LIGHT), jax.random.key(2))
    assert int(state.memory.procedural.standing[0]) == procedural.RETIRED

    def contrary(mind, state, key):
        percepts = amend.instances(state, jnp.arange(1))
        keys = obey.keys(state, percepts, experience.features_of(state, percepts))
        fast = {s: w.replace(moved=w.moved.at[MUSIC].add(9 * keys[s][0])) for s, w in state.memory.fast.items()}
        return state.replace(memory=state.memory.replace(fast=fast)), {}

    assert ask(contrary(MIND, state, None)[0], "another thing")[0] == MUSIC
    woken, report = rest(MIND, (("contrary", contrary),), state, jax.random.key(3))
    assert report.get("rules_back") == 1 and report["rolled_back"] == 0 and ask(woken, "another thing")[0] == LIGHT


def careless(mind, state, key):
    """A stage that forgets every rule."""
    memory = state.memory.procedural
    memory = memory.replace(standing=memory.standing * 0)
    return state.replace(memory=state.memory.replace(procedural=memory)), {}


def test_a_night_that_loses_a_rule_is_undone(life):
    """The guard watches corrections too."""
    state = told(life, "sing", LIGHT)
    woken, report = rest(MIND, (("careless", careless),), state, jax.random.key(3))
    assert report["careless/undone"] == 1 and ask(woken, "sing")[0] == LIGHT


def test_a_night_that_loses_a_rule_is_blamed_on_the_stage_that_lost_it(life):
    """Not on one that cost the cortex a few answers more, which may be chance."""

    def biased(state, by):
        concepts = state.params["concepts"]
        concepts = concepts | {"bias": concepts["bias"].at[MUSIC].add(by)}
        return state.replace(params=dict(state.params) | {"concepts": concepts})

    state = told(life, "sing", LIGHT)
    evening = judge(MIND, state)
    by = next(by for by in np.linspace(0, 9, 301) if not judge(MIND, biased(state, by)).cortex.all())
    assert harmed(evening, judge(MIND, biased(state, by))) == [], "a little, and not surely"
    stages = (("biased", lambda mind, state, key: (biased(state, by), {})), ("careless", careless))
    woken, report = rest(MIND, stages, state, jax.random.key(3))
    assert report["rolled_back"] == 1 == report["careless/undone"] and ask(woken, "sing")[0] == LIGHT


def test_when_there_is_no_room_the_oldest_goes(life):
    """Of nine rules for eight places the first is lost, which is reported, and the others hold."""
    state, things = life, ("apple", "bread", "cheese", "dumpling", "egg", "fish", "grape", "honey", "ice")
    for thing in things:
        state, report = correct(MIND, state, utterance(thing, AS_IT_THOUGHT), thing.upper(), general=False)
        assert report["forgotten"] == (thing == "ice")
    again, report = correct(MIND, state, utterance("cheese", AS_IT_THOUGHT), "FROMAGE", general=False)
    assert report["forgotten"] == 0 and [ask(again, thing)[1] for thing in things[1:3]] == ["BREAD", "FROMAGE"]
    answers = [ask(state, thing)[1] for thing in things]
    assert answers[1:] == [thing.upper() for thing in things[1:]] and answers[0] != "APPLE"


def test_corrections_travel_in_the_snapshot(life, tmp_path):
    """A file that another process could load: rules, names and answers are in it, bit for bit."""
    state = told(told(life, "play a song", answer="play jazz"), "quite another thing", NEW, "hum")
    loaded = load(save(tmp_path / "life.safetensors", MIND, state), partial(create, MIND, key=jax.random.key(9)))
    assert_same(state, loaded)
    assert ask(loaded, "some music") == (MUSIC, "play jazz") and ask(loaded, "quite another thing") == (NEW, "hum")


def test_a_life_that_grows_goes_on_obeying(life):
    """More units, more room for concepts: rules hold, and the new concepts have no name and no habit."""
    state = told(life, "play a song", answer="play jazz")
    grown = surgery.resize(MIND, state, "both.units", 48)
    grown = surgery.take(MIND, grown, "concepts", [*range(8), *[-1] * 4])
    assert ask(grown, "some music") == (MUSIC, "play jazz") and ask(grown, "more light") == (LIGHT, "light")
    assert (np.asarray(grown.memory.procedural.named)[8:] == -1).all()
    assert ask(told(grown, "quite another thing", 11, "hum"), "quite another thing") == (11, "hum")


WRONG = {
    "nothing to say": (
        lambda s: correct(MIND, s, utterance("sing", AS_IT_THOUGHT)),
        CorrectionError,
        "answer is missing",
    ),
    "empty": (lambda s: told(s, "sing", answer="  "), CorrectionError, "answer has 0 bytes"),
    "too long": (lambda s: told(s, "sing", answer="x" * 300), CorrectionError, "300 bytes"),
    "NUL": (lambda s: told(s, "sing", answer="a\0b"), CorrectionError, "NUL"),
    "unknown concept": (lambda s: told(s, "sing", 99), ExperienceError, "target"),
    "taken for nothing": (lambda s: told(s, "sing", answer="la", taken_for=8), CorrectionError, "taken_for is 8"),
    "a name too many": (lambda s: corrections.name(s, {8: "x"}), CorrectionError, "concept 8"),
    "two at once": (
        lambda s: correct(MIND, s, jax.tree.map(lambda x: np.concatenate([x, x]), utterance("sing"))),
        CorrectionError,
        "one instance at a time",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_taken_in_changes_nothing(life, case):
    """A typed error that says what and why."""
    attempt, error, message = WRONG[case]
    before = copy(life)
    with pytest.raises(error, match=message):
        attempt(life)
    assert_same(before, life)


def test_a_life_without_room_for_rules_says_so():
    """And cannot be given room that it could not use."""
    state = create(MIND, Architecture((READ,), (Assembly("reading", ("text",), 8),), 4, 8, 2000), jax.random.key(0))
    with pytest.raises(CorrectionError, match=r"architecture\.rules is 0"):
        told(state, "sing", answer="la")
    with pytest.raises(ArchitectureError, match="semantic"):
        Architecture((READ,), (Assembly("reading", ("text",), 8),), 4, 8, 2000, semantic=False, rules=4)
