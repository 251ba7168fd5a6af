"""What can go wrong, as the user should see it: one line, one documented exit code.

Every error a user can cause is a `MnasError`; its text says what is wrong and what to do.
The command line prints it on stderr and exits with `exit_code`; anything else is a bug.
"""

import errno


class MnasError(Exception):
    """Something in the world is wrong: a file, a disk, a run (exit code 1)."""

    exit_code = 1


class UsageError(MnasError):
    """Something the user typed or wrote is wrong: a flag, a template, a model string (exit code 2)."""

    exit_code = 2


class NoDeviceError(MnasError):
    """No device, or none that can be used (exit code 3)."""

    exit_code = 3


class TargetMissedError(MnasError):
    """The work is done, but the latency target was missed (exit code 4)."""

    exit_code = 4


class StoppedByUserError(MnasError):
    """Ctrl-C or a kill; the text says how to resume (exit code 130)."""

    exit_code = 130


def reason(error: OSError) -> str:
    """Why the system refused, and what helps, to go after the name of the file or folder."""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return "the disk is full: free some space"
        case errno.EROFS:
            return "the disk is read-only: choose another place"
        case errno.EACCES | errno.EPERM:
            return "permission denied: choose another place, or have the rights changed"
        case errno.ENOTDIR | errno.EEXIST:
            return "a file is where a folder is needed: choose another name"
        case errno.EISDIR:
            return "a folder is where a file is needed: choose another name"
        case errno.ENAMETOOLONG:
            return "the name is too long: choose a shorter one"
        case errno.EMFILE | errno.ENFILE:
            return "too many files are open: raise the limit (ulimit -n)"
        case errno.EBADF:
            return "it is closed"
    return error.strerror or str(error)
