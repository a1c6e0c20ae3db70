"""Talk to a life, and correct it: `Conversation` is what interactive programs and notebooks use.

with Conversation.open(mind, folder, birth=partial(create, mind, architecture, key)) as talk:
    talk.say("play a song")        # it does not know that, and asks
    talk.do("play jazz")           # now it does, from the next call on
    talk.say("play a song").answer
"""

from dellm_jax.conversation.conversation import Conversation
from dellm_jax.conversation.words import Reply, State

__all__ = ["Conversation", "Reply", "State"]
