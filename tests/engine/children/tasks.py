"""Functions for child processes, each going wrong in its own way."""

import os
import signal
import sys
import time

from mnascli.engine.children.places import Place
from mnascli.errors import MnasError


def double(value: int, place: Place) -> int:
    print(f"doubling {value}")
    return 2 * value


def cores(place: Place) -> list[int]:
    return sorted(os.sched_getaffinity(0))


def break_down(how: str, place: Place) -> None:
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


def interrupt_the_group(place: Place) -> str:
    """What Ctrl-C does on a terminal, but for the parent, which its test protects."""
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getppid(), signal.SIGINT)
    time.sleep(0.2)
    return "still here"


def sleep(seconds: float, place: Place) -> None:
    time.sleep(seconds)


def gpu(place: Place) -> str:
    return os.environ["CUDA_VISIBLE_DEVICES"]


def cuda(place: Place) -> int:
    import torch

    torch.ones(1, device="cuda")
    return torch.cuda.device_count()


def say_who_and_sleep(place: Place) -> None:
    print(os.getpid(), flush=True)
    time.sleep(60)


def sleep_and_double(value: int, seconds: float, place: Place) -> int:
    time.sleep(seconds)
    return 2 * value
