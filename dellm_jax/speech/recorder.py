"""RealtimeSTT 1.1.2 at arm's length: what must hold before its recorder is built, and what it leaves behind."""

import io
import logging
import multiprocessing
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from importlib.util import find_spec
from typing import Any

from dellm_jax.errors import SpeechError
from dellm_jax.speech.utterances import BEFORE_S, RATE

INSTALL = "install it with `pip install 'dellm_jax[speech]'`"


def missing() -> str | None:
    """Why no speech can be heard in this installation, or None."""
    if sys.version_info >= (3, 13) and find_spec("RealtimeSTT") is None:
        return "RealtimeSTT 1.1.2 needs Python 3.11 or 3.12; use one of those and the extra `speech`"
    lacking = [name for name in ("RealtimeSTT", "torch", "onnxruntime", "silero_vad") if find_spec(name) is None]
    return f"{', '.join(lacking)} not installed; {INSTALL} (scripts/setup.sh does)" if lacking else None


def check_microphone() -> None:
    """SpeechError where there is no microphone: the recorder itself would look for one for ever."""
    try:
        import pyaudio
    except ImportError as error:
        raise SpeechError(f"no microphone can be opened without PyAudio; {INSTALL}") from error
    with _mute():
        audio = pyaudio.PyAudio()
    try:
        audio.get_default_input_device_info()
    except OSError as error:
        raise SpeechError("no microphone was found; connect one, or listen to a file or to fed sound") from error
    finally:
        audio.terminate()


@contextmanager
def _mute() -> Iterator[None]:
    """Nothing on stderr, where ALSA and JACK, which are C, tell of every device that is not there."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def build(executor: Callable[..., Any], partial: Callable[..., Any] | None, microphone: bool, **how: Any) -> Any:
    """A recorder that calls `executor`, so that it loads no model and cannot hang. SpeechError says what is missing.

    RealtimeSTT sets how processes start, for the whole program, and handlers of its log: both are put back.
    """
    if reason := missing():
        raise SpeechError(reason)
    if microphone:
        check_microphone()
    method, logger = multiprocessing.get_start_method(allow_none=True), logging.getLogger("realtimestt")
    handlers = set(logger.handlers)
    try:
        from RealtimeSTT import AudioToTextRecorder

        recorder = AudioToTextRecorder(
            transcription_executor=executor,
            realtime_transcription_executor=partial,
            enable_realtime_transcription=partial is not None,
            use_microphone=microphone,
            handle_buffer_overflow=microphone,  # what is fed is paced, and none of it may be thrown away
            device="cpu",
            silero_onnx_threads=1,
            pre_recording_buffer_duration=BEFORE_S,
            sample_rate=RATE,
            spinner=False,
            no_log_file=True,
            ensure_sentence_starting_uppercase=False,
            ensure_sentence_ends_with_period=False,
            **how,
        )
        # As after its first text(): it then goes on by itself, and misses nothing while that thread is busy.
        recorder.start_recording_on_voice_activity = recorder.stop_recording_on_voice_deactivity = True
        recorder.continuous_listening = True
        return recorder
    except (ImportError, OSError) as error:  # OSError: a shared library that does not load
        raise SpeechError(f"RealtimeSTT cannot be loaded ({error}); {INSTALL} again") from error
    finally:
        multiprocessing.set_start_method(method, force=True)
        for handler in set(logger.handlers) - handlers:  # each recorder would add one; warnings come through without
            logger.removeHandler(handler)


def shut(recorder: Any) -> None:
    """End the recorder and its threads, in seconds.

    Its `abort` would wait for ever for a text() that does not run; the event alone ends one that does.
    """
    recorder.interrupt_stop_event.set()
    with redirect_stdout(io.StringIO()):  # it announces its end in red
        recorder.shutdown()
    if hasattr(recorder.audio_queue, "join_thread"):  # a microphone's queue has a thread, which ends when it is empty
        with suppress(queue.Empty):
            while True:
                recorder.audio_queue.get(timeout=0.05)
        recorder.audio_queue.close()
        recorder.audio_queue.join_thread()


def alive(threads: list[threading.Thread], within_s: float) -> list[str]:
    """The names of those threads that do not end within the time."""
    for thread in threads:
        thread.join(within_s)
    return [thread.name for thread in threads if thread.is_alive()]
