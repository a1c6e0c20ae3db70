"""PocketSphinx as a program of its own: it holds Python's lock while it decodes, which would deafen a listener.

Reads from stdin, again and again, a number of samples (uint32, not 0) and these (int16, 16 kHz); writes to stdout the
number of bytes of the text (uint32) and these (UTF-8). Ends with stdin. Imports nothing of dellm_jax.
"""

import struct
import sys


def main() -> None:
    """Serve until stdin ends. The whole utterance is normalised at once: in pieces one word in eight more is wrong."""
    from pocketsphinx import Decoder

    decoder = Decoder(loglevel="FATAL")
    while len(header := sys.stdin.buffer.read(4)) == 4:
        decoder.start_utt()
        decoder.process_raw(sys.stdin.buffer.read(2 * struct.unpack("<I", header)[0]), full_utt=True)
        decoder.end_utt()
        found = decoder.hyp()
        text = (found.hypstr if found else "").encode()
        sys.stdout.buffer.write(struct.pack("<I", len(text)) + text)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
