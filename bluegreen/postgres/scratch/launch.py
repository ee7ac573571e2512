"""Become another user, end with whoever asked, and then be another program: a script of its own, never imported.

    python -I -S launch.py UID GID PARENT PROGRAM ARGUMENT…

Postgres refuses to run as root, and neither a scratch server nor a dump may outlive whoever started it. Both could be
done between fork and exec in the caller, but the provider is full of threads, where a forked Python may hang before it
gets there.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(uid: int, gid: int, parent: int, command: list[str]) -> None:
    if uid != os.geteuid():
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
        os.chdir("/")  # where we are may be closed to it
    os.setpgid(0, 0)  # ^C in a terminal is for whoever asked, who ends this in order
    if sys.platform == "linux":
        # After the change of user, which would take it away; SIGQUIT is Postgres's immediate end.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGQUIT)
    if os.getppid() != parent:  # gone before the kernel knew whom to watch
        sys.exit(1)
    os.umask(0o077)
    os.execv(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
