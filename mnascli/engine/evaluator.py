"""Evaluating candidates on this machine: measured on the devices, trained in child processes, both at the same time.

While the host measures, no child trains on the core that it measures on.
"""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mnascli.devices.backends import backend
from mnascli.devices.device import ModelError
from mnascli.devices.measuring import Latency
from mnascli.devices.pool import News
from mnascli.engine.benches.bench import Bench
from mnascli.engine.children.executor import Executor, Finished, Started, Task, TaskFailed, TaskUnwanted
from mnascli.engine.children.work import train_candidate
from mnascli.engine.search_loop import Outcome, TrialWork
from mnascli.errors import NoDeviceError
from mnascli.runs import write_atomically
from mnascli.runs.directory import latency_file, measuring_output_file, output_file


@dataclass(frozen=True)
class LocalEvaluator:
    """Measures with one bench per kind of device, trains with `executor`; `training` holds what all candidates share.

    `task` gives the accuracy of one; it fails after `timeout_s`.
    """

    benches: Sequence[Bench]
    executor: Executor
    training: dict[str, Any]
    seed: int
    trial_folder: Callable[[int], Path]
    task: Callable[..., dict[str, Any]] = train_candidate
    timeout_s: float | None = None

    def __call__(self, work: Sequence[TrialWork]) -> Iterator[Outcome]:
        """The outcomes of all trials, in the order in which they happen.

        Raises NoDeviceError if nothing is left to measure on, but only after everything else for these trials is done.
        """
        outcomes: queue.SimpleQueue[Outcome | BaseException | None] = queue.SimpleQueue()
        stop = threading.Event()
        threads = [threading.Thread(target=self._train, args=(work, outcomes, stop), daemon=True)]
        with ExitStack() as reservations:
            for bench in self.benches:
                reserved = reservations.enter_context(ExitStack())
                # Taken before any training starts, so that measuring comes first on its core.
                reserved.enter_context(self.executor.reserve(_host_cores(bench)))
                threads.append(
                    threading.Thread(target=self._measure, args=(bench, work, outcomes, reserved, stop), daemon=True)
                )
            for thread in threads:
                thread.start()
            try:
                running = len(threads)
                no_device: NoDeviceError | None = None
                while running:
                    outcome = outcomes.get()
                    if isinstance(outcome, NoDeviceError):
                        no_device = outcome
                    elif isinstance(outcome, BaseException):
                        raise outcome
                    if isinstance(outcome, Outcome):
                        yield outcome
                    else:
                        running -= 1
                if no_device is not None:
                    raise no_device
            finally:
                stop.set()
                for thread in threads:
                    thread.join()

    def _measure(
        self,
        bench: Bench,
        work: Sequence[TrialWork],
        outcomes: queue.SimpleQueue[Any],
        reservation: ExitStack,
        stop: threading.Event,
    ) -> None:
        waiting = [one for one in work if bench.name in one.missing_devices]
        try:
            with reservation:
                for item in bench.stream([one.architecture for one in waiting], stop):
                    if isinstance(item, News):
                        outcomes.put(Outcome(item.kind, None, item.values(bench.name)))
                    else:
                        trial = waiting[item.index].trial
                        outcomes.put(self._measured(trial, bench.name, item.serial, item.result))
            outcomes.put(None)
        except BaseException as error:
            outcomes.put(error)

    def _measured(self, trial: int, device: str, serial: str, result: Latency | ModelError) -> Outcome:
        if isinstance(result, ModelError):
            write_atomically(measuring_output_file(self.trial_folder(trial), device), result.log.encode())
            failure = {"stage": "measure", "kind": type(result).__name__, "reason": f"{device}: {result}"}
            return Outcome("failed", trial, failure)
        file = latency_file(self.trial_folder(trial), device)
        write_atomically(file, json.dumps(result.to_json()).encode())
        values: dict[str, Any] = {
            "device": device,
            "serial": serial,
            "latency_ms": result.median_ms,
            "p5_ms": result.p5_ms,
            "p95_ms": result.p95_ms,
            "verdict": result.verdict,
            "reference_ms": result.reference_ms,
            "source": "device" if result.stored_s is None else "store",
        }
        if result.stored_s is not None:
            values["measured_at"] = result.stored_s
        return Outcome("measured", trial, values)

    def _train(self, work: Sequence[TrialWork], outcomes: queue.SimpleQueue[Any], stop: threading.Event) -> None:
        tasks = [self._task(one) for one in work if one.needs_training]
        events = self.executor.map(tasks)
        try:
            for event in events:
                if not isinstance(event, TaskUnwanted):
                    outcomes.put(_training_outcome(event))
                if stop.is_set():
                    break
            outcomes.put(None)
        except BaseException as error:
            outcomes.put(error)
        finally:
            events.close()

    def _task(self, work: TrialWork) -> Task:
        arguments = {**self.training, "architecture": str(work.architecture), "seed": self.seed + work.trial}
        output = output_file(self.trial_folder(work.trial))
        return Task(work.trial, self.task, arguments, output, work.is_wanted, self.timeout_s)


def _training_outcome(event: Started | Finished | TaskFailed) -> Outcome:
    match event:
        case Started(trial, worker):
            return Outcome("started", trial, {"worker": worker})
        case Finished(trial, trained):
            return Outcome("trained", trial, trained)
        case TaskFailed(trial, kind, reason):
            return Outcome("failed", trial, {"stage": "train", "kind": kind, "reason": reason})


def _host_cores(bench: Bench) -> set[int]:
    """The cores of this machine that the bench needs for itself."""
    devices = [member.device for member in bench.pool.members]
    return {core for device in devices for core in backend(device.kind).host_cores(device.setup)}
