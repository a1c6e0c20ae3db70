"""Who transcribes: RealtimeSTT's engines, and PocketSphinx, whose model comes with its package."""

import struct
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from dellm_jax.errors import SpeechError
from dellm_jax.speech.recorder import INSTALL, missing

Transcribe = Callable[[np.ndarray], str]
DEVICES = ("cpu", "cuda")


def transcriber(
    engine: str = "pocketsphinx", model: str = "", device: str = "cpu", within_s: float = 120.0, **options: Any
) -> Transcribe:
    """A function from float32 [N] at 16 kHz to text. `device` cpu or cuda.

    `engine`: pocketsphinx (English, weak, needs no model), or one of RealtimeSTT's ("faster_whisper", "whisper_cpp",
    ...) with `model`, the folder or file of a local model, or a name that the engine downloads; `options` are its own.
    Raises SpeechError where something is missing, or nothing has been loaded `within_s`.
    """
    if device not in DEVICES:
        raise SpeechError(f"device is {device!r}; expected one of {', '.join(DEVICES)}")
    if engine == "pocketsphinx":
        return _pocketsphinx(model, device)
    if reason := missing():
        raise SpeechError(reason)
    _check(engine, model, device)
    return _in_time(lambda: _of_realtimestt(engine, model, device, options), engine, model, within_s)


def _pocketsphinx(model: str, device: str) -> Transcribe:
    if find_spec("pocketsphinx") is None:
        raise SpeechError(f"pocketsphinx is not installed; {INSTALL}")
    if model or device != "cpu":
        raise SpeechError("pocketsphinx brings its own English model and runs on the cpu; leave model and device out")
    command = [sys.executable, "-P", str(Path(__file__).with_name("sphinx.py"))]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )  # its own session: Ctrl-C is for us

    def transcribe(audio: np.ndarray) -> str:
        sound = np.round(np.clip(audio, -1, 1) * 32767).astype("<i2")
        if not len(sound):
            return ""
        try:
            process.stdin.write(struct.pack("<I", len(sound)) + sound.tobytes())
            process.stdin.flush()
            (length,) = struct.unpack("<I", process.stdout.read(4))
            return process.stdout.read(length).decode()
        except (OSError, struct.error) as error:
            raise SpeechError("PocketSphinx has ended by itself; make the transcriber again") from error

    weakref.finalize(transcribe, _end, process)
    return transcribe


def _end(process: subprocess.Popen) -> None:
    """It ends with its input."""
    process.stdin.close()
    process.stdout.close()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:  # in the middle of an utterance
        process.kill()
        process.wait()


def _check(engine: str, model: str, device: str) -> None:
    """What can be known before anything is loaded."""
    from RealtimeSTT.transcription_engines import factory

    known = factory.get_supported_transcription_engines()
    if engine not in known:
        raise SpeechError(f"there is no engine {engine!r}; expected pocketsphinx or one of {', '.join(known)}")
    if not model:
        raise SpeechError(f"engine {engine!r} needs a model; give model=<the folder of a local model>, or its name")
    if ("/" in model or "\\" in model) and model.count("/") != 1 and not Path(model).exists():
        raise SpeechError(f"model {model} does not exist; give the folder of a local model")
    if device == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise SpeechError("device is cuda, and PyTorch sees none; use device=cpu, or install PyTorch for CUDA")


def _of_realtimestt(engine: str, model: str, device: str, options: dict[str, Any]) -> Transcribe:
    from RealtimeSTT.transcription_engines import TranscriptionEngineConfig, create_transcription_engine

    built = create_transcription_engine(
        engine, TranscriptionEngineConfig(model=model, device=device, engine_options=options)
    )
    return lambda audio: built.transcribe(audio).text


def _in_time(build: Callable[[], Transcribe], engine: str, model: str, within_s: float) -> Transcribe:
    """Built in a thread: an engine that waits for a network that is not there would wait for ever."""
    result: list[Any] = []

    def run() -> None:
        try:
            result.append(build())
        except Exception as error:
            result.append(error)

    thread = threading.Thread(target=run, name="dellm-loading", daemon=True)
    thread.start()
    thread.join(within_s)
    if not result:
        raise SpeechError(
            f"engine {engine!r} did not load {model!r} within {within_s:g} s; give a local model's folder"
        )
    if isinstance(result[0], Exception):
        raise SpeechError(
            f"engine {engine!r} cannot load {model!r} ({result[0]}); install its package, or give a local model"
        ) from result[0]
    return result[0]
