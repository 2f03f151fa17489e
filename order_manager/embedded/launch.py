"""Become another program that ends when the process which started it ends.

Run by path, before anything is importable, so the standard library only:

    launch.py <signal number> <program> [argument ...]
    launch.py --file <path of {"argv": [...], "env": {...}, "cwd": "/...", "signal": 15}>

The kernel sends the signal to this process (after exec: to the program) when its parent dies, even by
SIGKILL. Elsewhere than on Linux the program starts all the same, without that promise.
"""

import ctypes
import json
import os
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1


def end_with_parent(signal_number: int) -> None:
    """Ask for `signal_number` at the parent's death. Undone by the kernel when credentials change at exec."""
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
    if os.getppid() != parent:  # it died while we were starting; nobody will tell us any more
        sys.exit(1)


def main(arguments: list[str]) -> None:
    if arguments[0] == "--file":
        plan = json.loads(Path(arguments[1]).read_text())
        end_with_parent(plan["signal"])
        os.chdir(plan["cwd"])
        os.execvpe(plan["argv"][0], plan["argv"], plan["env"])
    end_with_parent(int(arguments[0]))
    os.execvp(arguments[1], arguments[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
