"""The run directory: event log, its fold into a state, lock. Standard library only."""

from mnascli.runs.directory import Run, create_run, find_run, is_run, list_runs, open_run, read_meta, read_state
from mnascli.runs.log import Event, EventReader, RunError, write_atomically
from mnascli.runs.marks import UNSURE_MEANS, age, any_unsure, mark
from mnascli.runs.standing import is_written, standing, trial_standing
from mnascli.runs.state import RunState, Trial, fold
from mnascli.runs.views import DeviceView, Overview, Plan, Point, overview

__all__ = [
    "UNSURE_MEANS",
    "DeviceView",
    "Event",
    "EventReader",
    "Overview",
    "Plan",
    "Point",
    "Run",
    "RunError",
    "RunState",
    "Trial",
    "age",
    "any_unsure",
    "create_run",
    "find_run",
    "fold",
    "is_run",
    "is_written",
    "list_runs",
    "mark",
    "open_run",
    "overview",
    "read_meta",
    "read_state",
    "standing",
    "trial_standing",
    "write_atomically",
]
