"""A bench without a device: what a network takes follows from its multiply-adds."""

from dataclasses import dataclass, field
from types import SimpleNamespace

from mnascli.devices.device import Conditions, ModelError, Session, Setup
from mnascli.devices.measuring import Latency
from mnascli.search.latency_model import terms
from mnascli.space import Architecture

PINNED = Setup(cores=(3,))
QUIET = Conditions(cores=(1,), runtime="fake", os_build="1")


def true_ms(architecture: Architecture) -> float:
    return 1 + sum(value for name, value in terms(architecture).items() if name.endswith("adds")) / 1e6


@dataclass
class ScriptedBench:
    """Takes `true_ms`, times a slowness that changes from batch to batch and that the reference model sees too.

    Of a `shared` one the times come at one speed already, as the discipline gives them.
    """

    unstable_every: int = 1000
    precision: str = "float32"
    slowness: tuple[float, ...] = (1.0, 1.4, 0.9)
    batches: int = 0
    seen: list[str] = field(default_factory=list)
    shared: bool = False
    name: str = "phone"
    device = SimpleNamespace(name="phone", fingerprint="pixel 1/build 7", setup=PINNED)

    @property
    def pool(self) -> SimpleNamespace:
        return SimpleNamespace(profile=SimpleNamespace(measuring=SimpleNamespace(shared=self.shared)))

    def measure(self, architectures: list[Architecture]) -> list[Latency | ModelError]:
        slow = self.slowness[self.batches % len(self.slowness)]
        self.batches += 1
        results: list[Latency | ModelError] = []
        for architecture in architectures:
            self.seen.append(str(architecture))
            unstable = len(self.seen) % self.unstable_every == 0
            ms = true_ms(architecture) * (1 if self.shared else slow) * (3 if unstable else 1)
            session = Session(ms, ms, ms, 10, QUIET, QUIET)
            verdict = "unstable" if unstable else "stable"
            results.append(Latency("", "phone", "", PINNED, ms, ms, ms, 10, verdict, "", 2 * slow, 0.0, (session,)))
        return results
