"""What is born into a body of several senses changes no answer, whichever of them is there."""

import jax
import numpy as np
import optax
import pytest
from small_lives import IMAGE, TEXT, body, experiences, laws, newborn, train

from dellm_jax import surgery
from dellm_jax.mind import respond
from dellm_jax.rest import steepest

MIND = laws(optax.adam(1e-2), rehearse=2)


@pytest.fixture(scope="module")
def life():
    """A life that saw and read for a while."""
    return train(MIND, newborn(MIND, body(senses=(IMAGE, TEXT))), experiences((20, 4), (IMAGE, TEXT)))


@pytest.mark.parametrize("name, reader", [("vision", "association"), ("association", "concepts")])
def test_the_steepest_newborns_change_no_answer_with_any_of_the_senses(life, name, reader):
    """What a pair says cancels to 1e-5, whoever else is there to be heard; and it does say something."""
    before = surgery.living(life)[name]
    state = surgery.resize(MIND, life, f"{name}.units", 12)
    who = np.arange(before, before + 4)
    state = surgery.awaken(MIND, state, f"{name}.units", who, jax.random.key(1))
    woken = steepest(MIND, state, name, who, jax.random.key(1))
    assert np.asarray(woken.params[reader][f"from_{name}"])[who].any(axis=1).all()
    batch = experiences((8,), (IMAGE, TEXT), seed=1)
    for there in ((IMAGE, TEXT), (IMAGE,), (TEXT,)):
        asked = batch.replace(senses={sense.name: batch.senses[sense.name] for sense in there})
        old, new = (respond(MIND, state, asked).by["cortex"][:, :3] for state in (life, woken))
        np.testing.assert_allclose(new, old, atol=1e-5, rtol=0)
