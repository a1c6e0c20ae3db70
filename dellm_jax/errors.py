"""What can go wrong by a user's doing. Every message is one line: what, where, what was expected, the fix."""


class DellmError(ValueError):
    """Root of every error a user can cause; its message is one line: what, where, what was expected, the fix."""


class ArchitectureError(DellmError):
    """The body asked for cannot exist."""


class ExperienceError(DellmError):
    """An experience that must not be learned from: wrong shape, wrong kind of number, not finite, unknown target."""


class MediaError(DellmError):
    """A picture, a sound or a text from outside that cannot be seen, heard or read."""


class SpeechError(DellmError):
    """Listening that cannot be done: something is not installed, no microphone, no model, a transcriber that fails."""


class StreamError(DellmError):
    """A stream or data set that cannot be had or read."""


class SurgeryError(DellmError):
    """A change of shape that would break the body."""


class SnapshotError(DellmError):
    """A saved life that cannot be trusted or does not fit."""


class JournalError(DellmError):
    """A life in a folder that cannot be opened or gone on with: lived elsewhere, its journal damaged, or no room."""


class ScheduleError(DellmError):
    """A rhythm of wake and rest that cannot be lived."""


class CorrectionError(DellmError):
    """A correction that cannot be taken in."""


class ConversationError(DellmError):
    """A turn that cannot be taken: nothing it could be about, no such file, or something that is not installed."""
