"""PostgreSQL refuses to run as root; containers and CI often give us nothing but root."""

import functools
import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from order_manager.embedded.processes import EmbeddedError

IN_A_USER_NAMESPACE = ("unshare", "--user", "--map-user=1000", "--map-group=1000", "--")
# CAP_DAC_OVERRIDE, for a nobody who must reach into folders of root's; it does not make him root.
REACHING = ("--inh-caps=+dac_override", "--ambient-caps=+dac_override")


def as_non_root(argv: Sequence[str], data_dir: Path, *, readable: Sequence[Path] = ()) -> list[str]:
    """`argv`, preceded by what takes root away from it when we are root.

    Preferred is a user namespace: the files stay ours and only the process believes otherwise. Where that is
    forbidden (Docker's default), the user nobody, to whom `data_dir` and the files `readable` are given.
    Raises EmbeddedError when neither can run `argv` on `data_dir`.
    """
    if os.geteuid() != 0:
        return list(argv)
    program, folder = argv[0], str(data_dir)
    if can_run(IN_A_USER_NAMESPACE, program, folder):
        return [*IN_A_USER_NAMESPACE, *argv]
    for prefix in nobody_prefixes():
        give_to_nobody([data_dir, *readable])
        if can_run(prefix, program, folder):
            return [*prefix, *argv]
    raise EmbeddedError(
        f"PostgreSQL does not run as root, and no other user can run {program} on {folder}: "
        "start as an ordinary user, choose a data folder that everybody may enter, or set POSTGRES_HOST"
    )


def nobody_prefixes() -> list[tuple[str, ...]]:
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        return []
    user = ("setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups")
    return [(*user, "--"), (*user, *REACHING, "--")]


def give_to_nobody(paths: Sequence[Path]) -> None:
    nobody = pwd.getpwnam("nobody")
    for path in paths:
        for entry in [path, *path.rglob("*")] if path.is_dir() else [path]:
            os.chown(entry, nobody.pw_uid, nobody.pw_gid, follow_symlinks=False)


@functools.cache
def can_run(prefix: tuple[str, ...], program: str, folder: str) -> bool:
    """Whether `prefix` works here, and from inside it `program` can be run and `folder` be written."""
    if shutil.which(prefix[0]) is None:
        return False
    test = ("sh", "-c", 'test "$(id -u)" -ne 0 && test -x "$1" && test -w "$2"', "sh", program, folder)
    return subprocess.run([*prefix, *test], capture_output=True, cwd="/").returncode == 0
