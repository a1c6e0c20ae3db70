"""Speech, fed or from a microphone, as utterances: sound, text and times. Needs the extra `speech`.

    with Listener(transcriber("pocketsphinx")) as listener:
        listener.feed(samples, 44_100)
        listener.end()
        for utterance in listener.utterances():
            response = respond(mind, life, experience_of(life.architecture, utterance))

RealtimeSTT records and finds where speech begins and ends; whatever maps float32 [N] at 16 kHz to a string transcribes.
"""

from dellm_jax.speech.engines import Transcribe, transcriber
from dellm_jax.speech.listener import Listener
from dellm_jax.speech.recorder import RATE, check_microphone, missing
from dellm_jax.speech.utterances import Partial, Utterance, experience_of

__all__ = [
    "RATE",
    "Listener",
    "Partial",
    "Transcribe",
    "Utterance",
    "check_microphone",
    "experience_of",
    "missing",
    "transcriber",
]
