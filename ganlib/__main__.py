"""``python -m ganlib``: the command line, in a process of its own."""

import os
import signal
import sys


def run() -> int:
    """The exit code; Ctrl-C or a closed stream is no traceback, whenever it comes."""
    # A closed stream's number would go to the next file opened, and be written into.
    while (null := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(null)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")
    if sys.stdout is not None:
        sys.stdout.reconfigure(errors="backslashreplace")  # a file's name may be no text
    heeds = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # not under nohup
    try:
        if heeds:  # an exception inside an import may be swallowed or printed: none is raised
            signal.signal(signal.SIGINT, _stopped)
        try:
            from ganlib.cli.parser import main
        except (ImportError, MemoryError, OSError) as error:
            print("ganlib: cannot start:", " ".join(str(error).split()), file=sys.stderr)
            return 2
        if heeds:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        code = main()
        if heeds:  # all is said and done
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        return code
    except KeyboardInterrupt:  # a second one, while main told of the first
        return 130


def _stopped(*_) -> None:
    os.write(2, b"ganlib: stopped\n")
    os._exit(130)


if __name__ == "__main__":
    sys.exit(run())
