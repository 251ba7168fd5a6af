"""What can go wrong, as the user should read it: one line, one documented exit code.

Every error a user can cause is a `MnasError`; its text says what is wrong and what to do.
The command line prints it on stderr and exits with `exit_code`; anything else is a bug.
"""


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
