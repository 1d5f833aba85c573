"""A user of this world who calls sudo."""

import contextlib
import os
import shutil
import subprocess

from conftest import WORLD

USER = 54321


@contextlib.contextmanager
def somebody():
    """Gives the user's home and the variables that sudo sets; both are gone afterwards."""
    home, passwd = WORLD / "somebody", WORLD / "passwd"
    home.mkdir()
    os.chown(home, USER, USER)
    os.chmod(WORLD, 0o711)
    with open("/etc/passwd") as known:
        passwd.write_text(known.read() + f"somebody:x:{USER}:{USER}::{home}:/bin/sh\n")
    subprocess.run(["mount", "--bind", passwd, "/etc/passwd"], check=True)
    try:
        yield home, {"SUDO_UID": str(USER), "SUDO_GID": str(USER), "HOME": "/root"}
    finally:
        subprocess.run(["umount", "/etc/passwd"], check=False)
        passwd.unlink()
        shutil.rmtree(home)
