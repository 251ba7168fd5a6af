"""The events that a person would want to know about, the latest first."""

from __future__ import annotations

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

from mnascli.runs import Event
from mnascli.runs.summary import rung_in_words
from mnascli.tui import words
from mnascli.tui.panel import Panel
from mnascli.tui.source import RunSource

SHOWN = 200


class LogPanel(Panel):
    DEFAULT_CSS = "LogPanel VerticalScroll { padding: 0 1; } LogPanel Static { height: auto; }"

    def compose(self) -> ComposeResult:
        yield VerticalScroll(Static("nothing has happened yet", markup=False))

    def key(self, source: RunSource) -> tuple[int, ...]:
        notable = source.overview.notable
        return (id(source.overview), len(notable), int(notable[-1]["time"] * 1000) if notable else 0, *self.size)

    def draw(self, source: RunSource) -> None:
        events = list(source.overview.notable)[-SHOWN:][::-1]
        if events:
            self.query_one(Static).update(Text("\n").join(line(event) for event in events))


def line(event: Event) -> Text:
    """One event in words; one of a kind unknown to this version, by its name and values."""
    match event["event"]:
        case "failed":
            text = f"✗ trial {event['trial']} failed ({event['stage']}, {event['kind']}): {event['reason']}"
            style = "red"
        case "phase":
            text, style = f"▶ phase {event['phase']}", "bold"
        case "target_set":
            target = ", ".join(f"{device} {words.milliseconds(ms)}" for device, ms in event["target_ms"].items())
            text, style = f"target {target}: {event['why']}", "bold"
        case "run_stopped":
            text, style = f"✗ stopped: {event['reason']}", "bold red"
        case "promoted":
            text, style = f"↑ to rung {event['rung']}: trials {', '.join(map(str, event['trials'])) or 'none'}", "bold"
        case "rung_trained":
            text, style = f"✓ trial {event['trial']} on rung {event['rung']}: {event['accuracy']:.3f} on validation", ""
        case "rung_failed":
            text, style = f"✗ trial {event['trial']} failed on rung {event['rung']}: {event['reason']}", "red"
        case "rungs_ranked":
            text, style = "; ".join(map(rung_in_words, event["rungs"])), "bold"
        case "long_trained":
            text = f"✓ {event['model']} trained in full, seed {event['seed']}: {event['validation']:.3f} on validation"
            style = ""
        case "device_lost" | "device_set_aside" | "measuring_paused":
            text, style = (
                f"✗ {event['device']} {event.get('serial', '')} {event['event']}: {event['reason']}",
                "bold red",
            )
        case "warned":
            text, style = f"! {event['message']}", "yellow"
        case "validated":
            trusted = "trusted" if event["trusted"] else "not to be trusted"
            tau, ceiling = (None if one is None else f"{one:.2f}" for one in (event["tau"], event.get("ceiling")))
            figures = f"tau {tau or 'unknown'}{f' (full training itself {ceiling})' if ceiling else ''}"
            count = len(event["candidates"])
            text, style = f"proxy against full training: {figures} over {count}, {trusted}", "bold"
        case "compared":
            latency = ", ".join(words.milliseconds(ms) for ms in event["latency_ms"].values())
            text, style = f"compared with {event['model']}: {latency}, {event['parameters']:,} parameters", ""
        case "reference_measured":
            latency = ", ".join(words.milliseconds(ms) for ms in event["latency_ms"].values())
            text, style = f"reference {event['model']}: {latency}", ""
        case "devices_opened":
            names = [f"{one['name']} ({one['serial']})" for one in event["devices"]]
            text, style = f"devices: {', '.join(names)}", ""
        case "exported":
            text, style = f"✓ exported {event['file']} ({event['size_mb']:.2f} MB)", "bold green"
        case _:
            values = [f"{key} {value}" for key, value in event.items() if key not in ("v", "time", "event")]
            text = f"{event['event'].replace('_', ' ')}  {', '.join(values)}"
            style = ""
    return Text.assemble((f"{words.clock(event['time'])}  ", "dim"), (text, style))
