"""Hold a family of fake processes under a fake clock, for replaying any history."""

from __future__ import annotations

from dataclasses import dataclass, field

from pj.supervision.child import Child, Limits
from pj.supervision.child_fsm import State
from pj.supervision.family import Family
from pj.supervision.policy import RestartPolicy
from pj.supervision.silence import Beat


@dataclass
class FakeProcess:
    pid: int
    instance: str
    code: int | None = None
    asked: bool = False
    reaped: bool = False

    def poll(self) -> int | None:
        self.reaped = self.code is not None
        return self.code

    def ask_stop(self) -> None:
        self.asked = True

    def kill(self) -> None:
        self.code = -9 if self.code is None else self.code


@dataclass
class FakeSpawner:
    born: list[tuple[str, FakeProcess]] = field(default_factory=list)
    refuse: bool = False
    words: str = ""

    def spawn(self, name: str, instance: str) -> FakeProcess:
        if self.refuse:
            raise OSError(11, "no more processes")
        process = FakeProcess(100 + len(self.born), instance)
        self.born.append((name, process))
        return process

    def wait(self, timeout_s: float) -> None: ...

    def last_words(self, name: str) -> str:
        return self.words

    def living(self, name: str) -> list[FakeProcess]:
        return [process for owner, process in self.born if owner == name and process.code is None]


@dataclass
class FakeRecord:
    rows: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    def event(self, event: str, /, **fields: object) -> None:
        self.rows.append((event, fields))

    warning = event

    def named(self, event: str) -> list[dict[str, object]]:
        return [fields for name, fields in self.rows if name == event]


@dataclass
class FakeDuties:
    granted: list[tuple[str, str]] = field(default_factory=list)
    alerts: list[tuple[str, str, str]] = field(default_factory=list)
    halts: list[str] = field(default_factory=list)
    slow_s: float = 60.0
    refuse: bool = False

    def grant(self, name: str, instance: str) -> None:
        if self.refuse:
            raise OSError(28, "no space left")
        self.granted.append((name, instance))

    def slow_retry_s(self) -> float:
        return self.slow_s

    def alert(self, code: str, name: str, text: str) -> None:
        self.alerts.append((str(code), name, text))

    def halt_trading(self, code: str, text: str) -> None:
        self.halts.append(f"{code} {text}")


class World:
    """Hold a family of one or more children and the fakes around it."""

    def __init__(self, *names: str, limits: Limits | None = None, max_restarts: int = 1000) -> None:
        self.now = 1000.0
        self.spawner = FakeSpawner()
        self.record = FakeRecord()
        self.duties = FakeDuties()
        self.beats: dict[str, Beat] = {}
        self.changes = 0
        tokens = iter(range(10**9))
        self.family = Family(
            children={name: Child(name) for name in names or ("engine",)},
            spawner=self.spawner,
            policy=RestartPolicy(0, 30, lambda: 1.0, max_restarts, 120),
            limits=limits or Limits(),
            record=self.record,
            duties=self.duties,
            now_s=lambda: self.now,
            new_instance=lambda: f"token-{next(tokens)}",
            on_change=self._changed,
        )
        self.family.start_all()

    def _changed(self) -> None:
        self.changes += 1

    @property
    def child(self) -> Child:
        return self.family.children["engine"]

    def beat(self, name: str = "engine", instance: str | None = None) -> None:
        child = self.family.children[name]
        seq = self.beats[name].seq + 1 if name in self.beats else 1
        self.beats[name] = Beat(instance or child.instance, seq, "RUNNING")

    def step(self, elapsed_s: float = 0.25) -> None:
        self.now += elapsed_s
        self.family.check_deaths()
        self.family.look(self.beats.get, elapsed_s)
        self.family.check_deaths()
        self.family.tick()

    def die(self, code: int, name: str = "engine") -> None:
        self.spawner.living(name)[0].code = code

    def run_healthy(self, seconds: float) -> None:
        for _ in range(int(seconds / 0.25)):
            self.beat()
            self.step()

    def crash(self, code: int) -> None:
        """Let the process die and be seen dead; when it is replaced at once the replacement is alive afterwards."""
        self.die(code)
        self.family.check_deaths()

    def until_born(self) -> float:
        """Let time pass until a process lives; return how long that took, s."""
        begun = self.now
        while self.child.state is State.BACKOFF:
            self.now += 0.25
            self.family.tick()
        return self.now - begun

    def live(self, seconds: float) -> None:
        self.run_healthy(seconds)
