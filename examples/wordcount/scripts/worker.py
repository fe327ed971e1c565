"""Counts the words of each text that arrives in FOLDER/inbox; writes FOLDER/counted/NAME.json. Ends on SIGTERM."""

from __future__ import annotations

import json
import signal
import sys
import threading
from pathlib import Path


def count(text_file: Path, counted: Path) -> None:
    """Count one text's words and move it out of the inbox."""
    words = len(text_file.read_text(encoding="utf-8").split())
    unfinished = counted / f".{text_file.stem}"
    unfinished.write_text(json.dumps({"text": text_file.stem, "words": words}), encoding="utf-8")
    unfinished.rename(counted / f"{text_file.stem}.json")
    text_file.unlink()


def main() -> None:
    """Work until told to end."""
    folder, poll_seconds = Path(sys.argv[1]), float(sys.argv[2])
    ending = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    while not ending.wait(poll_seconds):
        for text_file in sorted((folder / "inbox").glob("*.txt")):
            count(text_file, folder / "counted")


if __name__ == "__main__":
    main()
