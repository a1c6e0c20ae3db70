"""What was typed before, and what may be meant by what is being typed: in a terminal that somebody sits at."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

MOST_HISTORY = 1000


def completed(text: str, turn: int, commands: Iterable[str]) -> str | None:
    """The `turn`-th of the `commands`, or file after /see and /hear, that begins so."""
    if text.startswith("/") and "/" not in text[1:] and not Path(text).exists():
        found = [f"/{name}" for name in commands if f"/{name}".startswith(text)]
    else:
        folder = Path(text if text.endswith("/") else str(Path(text).parent))
        begin = "" if text.endswith("/") else Path(text).name
        with suppress(OSError):
            found = sorted(str(path) + "/" * path.is_dir() for path in folder.iterdir() if path.name.startswith(begin))
            return found[turn] if turn < len(found) else None
        found = []
    return found[turn] if turn < len(found) else None


def remembered(path: Path, commands: Iterable[str]) -> None:
    """From now on lines are completed, and those of the file can be had again."""
    import readline

    readline.set_completer(lambda text, turn: completed(text, turn, commands))
    readline.set_completer_delims(" \t\n")
    readline.parse_and_bind("tab: complete")
    readline.set_history_length(MOST_HISTORY)
    readline.clear_history()
    if path.is_file() and not path.is_symlink():
        with suppress(OSError):
            readline.read_history_file(path)


def kept(path: Path) -> None:
    """Write the lines down, for nobody else to read."""
    import readline

    if path.is_symlink():  # never through a link that leads out of the folder
        return
    with suppress(OSError):
        readline.write_history_file(path)
        path.chmod(0o600)
