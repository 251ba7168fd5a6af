"""Functions for child processes, each going wrong in its own way."""

import os
import signal
import sys
import time

from mnascli.errors import MnasError


def double(value: int, threads: int) -> int:
    print(f"doubling {value}")
    return 2 * value


def cores(threads: int) -> list[int]:
    return sorted(os.sched_getaffinity(0))


def break_down(how: str, threads: int) -> None:
    print("last words", file=sys.stderr, flush=True)
    match how:
        case "exception":
            raise RuntimeError("something odd\nand more")
        case "said":
            raise MnasError("what is wrong and what to do")
        case "memory":
            raise MemoryError
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "crashed":
            os.abort()
        case "exit":
            os._exit(3)
        case "timeout":
            time.sleep(60)


def interrupt_the_group(threads: int) -> str:
    """What Ctrl-C does on a terminal, but for the parent, which its test protects."""
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getppid(), signal.SIGINT)
    time.sleep(0.2)
    return "still here"


def sleep(seconds: float, threads: int) -> None:
    time.sleep(seconds)
