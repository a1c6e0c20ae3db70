# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A first life
# A DELLM lives five days of digits that it sees, hears and reads, rests after each, and is asked about all of them.
# Everything here is the public API; `experiments/train.py` differs only in the body of the loop.

# %%
import jax
import matplotlib.pyplot as plt
import numpy as np
import optax

from dellm_jax.architecture import Architecture, Assembly
from dellm_jax.assemblies import Cortex
from dellm_jax.learning import asymmetric_cross_entropy, by_pathway, predictive_coding
from dellm_jax.life import live
from dellm_jax.mind import create, respond
from dellm_jax.rest import consolidate, grow, prune, replay, rescale
from dellm_jax.senses import Audio, Image, Text
from dellm_jax.streams import days, digits
from dellm_jax.types import Experience, Mind, Schedule

# %% [markdown]
# ## Body, laws and rhythm
# An `Architecture` says what the body is made of, a `Mind` what it learns by, a `Schedule` when it rests and how.

# %%
body = Architecture(
    senses=(
        Image(8, 8, code_side=8, kernel=3, stride=1, filters=8),
        Audio(samples=6000, filters=8),
        Text(width=8, buckets=64),
    ),
    assemblies=(
        Assembly("vision", ("image",), units=16),
        Assembly("hearing", ("audio",), units=16),
        Assembly("reading", ("text",), units=16),
        Assembly("association", ("vision", "hearing", "reading"), units=16),
    ),
    concepts=10,
    episodic_bytes=60_000,
)
rule = by_pathway(forward=optax.adam(1e-3), feedback=predictive_coding(0.1))
mind = Mind(Cortex, asymmetric_cross_entropy, rule)
night = (
    ("prune", prune()),
    ("grow", grow()),
    ("replay", replay(rule, steps=200)),
    ("rescale", rescale()),
    ("consolidate", consolidate()),
)
corpus = digits(seed=0)
schedule = Schedule(rest_every=280, night=night)

# %% [markdown]
# ## Five days and five nights
# `live` is a generator: what happens to the reports is up to this loop.

# %%
asked = days.stretch(corpus.test, np.arange(360), 1, 360)
asked = Experience({sense: asked.senses[sense][0] for sense in ("image", "audio")}, asked.target[0], asked.weight[0])
stream = days.stretches(days.class_incremental(corpus, 5, seed=0), batch=10, length=10)
story = []
for phase, life, _ in live(mind, create(mind, body, jax.random.key(0)), stream, schedule):
    answers = respond(mind, life, asked)
    units = sum(float(life.homeostasis[a.name]["active"].sum()) for a in life.architecture.assemblies)
    story.append((phase, int(life.clock.experiences), float((answers.concept == asked.target).mean()), units))

# %%
experiences, accuracy, units = (np.array([row[i] for row in story]) for i in (1, 2, 3))
rested = np.array([row[0] == "rest" for row in story])
figure, (above, below) = plt.subplots(2, 1, sharex=True, figsize=(7, 4))
above.plot(experiences, 100 * accuracy)
above.plot(experiences[rested], 100 * accuracy[rested], "o", label="woken")
above.set(ylabel="accuracy (%)")
above.legend()
below.step(experiences, units, where="post")
below.set(xlabel="experiences lived", ylabel="living units")
# %% [markdown]
# ## Who knows it?
# A response says how sure it is, and what each way of knowing thinks: the cortex, and semantic memory by each sense.

# %%
answers = respond(mind, life, asked)
for way, log_p in answers.by.items():
    print(f"{way:8} {float((log_p.argmax(1) == asked.target).mean()):.1%}")
print(f"together {float((answers.concept == asked.target).mean()):.1%}")
assert (answers.concept == asked.target).mean() > 0.9
