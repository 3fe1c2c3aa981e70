"""What a plugin's import or hook does to the whole process, found out and put back.

A plugin that prints, changes the environment or sets a seed is not broken, but it must not spoil what
others print or compute. `Containment` compares before and after; when nothing is wrong, that takes some
microseconds. Whether torch is imported already makes no difference: what a library's own import sets is
read as soon as that import is over.
"""

from __future__ import annotations

import builtins
import os
import sys
import warnings
from _thread import get_ident
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any, NamedTuple

SHOWN = 60  # characters of what was printed that a remark repeats
State = dict[str, Any]


class Part(NamedTuple):
    """One part of a process's state, and the module that must be imported to have it."""

    name: str
    module: str
    read: Callable[[Any], Any]
    write: Callable[[Any, Any], object]


def _read_environment(os: Any) -> dict[Any, Any]:
    """The mapping beneath `os.environ`, since to decode every variable would take as long as all the rest."""
    return dict(vars(os.environ).get("_data", os.environ))


def _write_environment(os: Any, value: dict[Any, Any]) -> None:
    wanted = {os.fsdecode(name): os.fsdecode(text) for name, text in value.items()}
    for name in set(os.environ) - set(wanted):
        del os.environ[name]
    os.environ.update(wanted)


def _write_filters(module: Any, value: list[Any]) -> None:
    module.filters[:] = value
    with warnings.catch_warnings():  # makes the interpreter look at them anew
        pass


def _read_numpy(random: Any) -> tuple[Any, ...]:
    kind, keys, *rest = random.get_state()
    return kind, keys.tobytes(), *rest


def _write_numpy(random: Any, value: tuple[Any, ...]) -> None:
    kind, keys, *rest = value
    random.set_state((kind, sys.modules["numpy"].frombuffer(keys, "uint32"), *rest))


def _write_seed(torch: Any, value: bytes) -> None:
    torch.set_rng_state(torch.frombuffer(bytearray(value), dtype=torch.uint8))


def _of_torch(name: str, read: str, write: str) -> Part:
    return Part(
        f"torch's {name}",
        "torch",
        lambda torch: getattr(torch, read)(),
        lambda torch, value: getattr(torch, write)(value),
    )


ENVIRONMENT, FILTERS = "environment variables", "the filters of warnings"
PROCESS = (
    Part(ENVIRONMENT, "os", _read_environment, _write_environment),
    Part(FILTERS, "warnings", lambda warnings: list(warnings.filters), _write_filters),
    Part("the current directory", "os", lambda os: os.getcwd(), lambda os, value: os.chdir(value)),
)
NUMERIC = (
    Part("random's state", "random", lambda m: m.getstate(), lambda m, value: m.setstate(value)),
    Part("numpy.random's state", "numpy.random", _read_numpy, _write_numpy),
    Part("torch's seed", "torch", lambda torch: torch.get_rng_state().numpy().tobytes(), _write_seed),
    Part(
        "torch's default device",
        "torch",
        lambda torch: torch.get_default_device().type,
        lambda torch, value: torch.set_default_device(None if value == "cpu" else value),
    ),
    _of_torch("default dtype", "get_default_dtype", "set_default_dtype"),
    _of_torch("number of threads", "get_num_threads", "set_num_threads"),
    _of_torch("gradient mode", "is_grad_enabled", "set_grad_enabled"),
    _of_torch("deterministic mode", "are_deterministic_algorithms_enabled", "use_deterministic_algorithms"),
    _of_torch("matmul precision", "get_float32_matmul_precision", "set_float32_matmul_precision"),
)
DRAWN_FROM = {"random", "numpy.random"}  # by libraries, for names of temporary files and the like
WATCHED = {"numpy", *(part.module for part in NUMERIC)}


class Containment:
    """The state of the process as it was, and as each plugin's code has to leave it.

    For the torch side of a plugin, `libraries` may be imported that change the environment and the filters of
    warnings, which are not looked at, or draw random numbers, which is put back without a remark.
    """

    def __init__(self, *, libraries: bool = False) -> None:
        self._parts = NUMERIC if libraries else PROCESS + NUMERIC
        self._libraries = libraries
        self._state: State = {}
        self._depth = 0
        self._read(self._parts)

    @contextmanager
    def running(self, remarks: list[str], package: str = "") -> Iterator[None]:
        """Around a plugin's code; a remark for each of its faults goes into the list.

        With `package`, importing torch is one, whether it was imported before or not.
        """
        output, errors, had_torch = sys.stdout, sys.stderr, "torch" in sys.modules
        heard, imports, kept = _Heard(output), _Imports(package), _redirect_stdout()
        sys.stdout, builtins.__import__ = heard, imports
        sys.meta_path.insert(0, self)
        try:
            yield
        finally:
            if kept is not None:
                os.dup2(kept, 1)
                os.close(kept)
            sys.stdout, sys.stderr, builtins.__import__ = output, errors, imports.original
            sys.meta_path.remove(self)
            found = [*heard.remarks(), *self._put_back()]
            if package and (imports.torch or ("torch" in sys.modules and not had_torch)):
                found.insert(0, "imports torch when it is loaded, for which every command waits")
            remarks += [remark for remark in found if remark not in remarks]

    def _read(self, parts: tuple[Part, ...]) -> None:
        for part in parts:
            self._state[part.name] = _value(part)

    def _put_back(self) -> list[str]:
        changed = []
        for part in self._parts:
            now, before = _value(part), self._state[part.name]
            if before is not None and now != before:
                part.write(sys.modules[part.module], before)
                if self._libraries and part.module in DRAWN_FROM:
                    continue
                changed.append(_changed_variables(before, now) if part.name == ENVIRONMENT else part.name)
        return [f"changed {' and '.join(changed)}, which was put back"] if changed else []

    # -- what a library's own import sets is not the plugin's doing --

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Asked by the import system: a library with a state of its own is to be read once it is there."""
        if name not in WATCHED:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return None
        loader, execute = spec.loader, spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            del vars(loader)["exec_module"]
            self._import(lambda: execute(module))
            self._read(tuple(part for part in NUMERIC if part.module == name))

        vars(loader)["exec_module"] = exec_module
        return spec

    def _import(self, execute: Callable[[], None]) -> None:
        """Imports a library; what it changes of the process belongs to the state from then on."""
        if self._depth or ENVIRONMENT not in self._state:
            execute()
            return
        variables, filters = _read_environment(os), list(warnings.filters)
        self._depth += 1
        try:
            execute()
        finally:
            self._depth -= 1
            self._state[ENVIRONMENT] = {
                **self._state[ENVIRONMENT],
                **{n: value for n, value in _read_environment(os).items() if variables.get(n) != value},
            }
            new = [entry for entry in warnings.filters if entry not in filters]
            self._state[FILTERS] = [*new, *self._state[FILTERS]]


class _Imports:
    """Stands for `__import__` while a plugin is loaded: sees it ask for torch, which may be there already."""

    def __init__(self, package: str) -> None:
        self.original = builtins.__import__
        self.torch = False
        self._package = package

    def __call__(
        self, name: str, globals: Mapping[str, Any] | None = None, *rest: Any, **others: Any
    ) -> ModuleType:
        if name.partition(".")[0] == "torch" and globals is not None:
            self.torch |= str(globals.get("__name__")).partition(".")[0] == self._package
        return self.original(name, globals, *rest, **others)


class _Heard:
    """Stands for stdout while a plugin is loaded: text is kept for a remark, anything else goes to stderr."""

    def __init__(self, output: Any) -> None:
        self._text: list[str] | None = []
        self._output, self._thread = output, get_ident()

    def write(self, text: str) -> int:
        if self._text is None:  # somebody has kept it beyond its time
            return sys.stderr.write(text)
        if get_ident() != self._thread:  # not the plugin's doing
            return int(self._output.write(text))
        self._text.append(text)
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr, name)

    def remarks(self) -> list[str]:
        lines = "".join(self._text or ()).strip().splitlines()
        self._text = None
        if not lines:
            return []
        first = lines[0] if len(lines[0]) <= SHOWN else lines[0][: SHOWN - 3] + "..."
        return [f"printed {first!r}" + (f" and {len(lines) - 1} more lines" if lines[1:] else "")]


def _redirect_stdout() -> int | None:
    """Has what is written to the process's stdout beside Python go to stderr; its copy, to be put back.

    None where stdout is something else, or where other threads may be writing to it.
    """
    threading = sys.modules.get("threading")
    if threading is not None and threading.active_count() > 1:
        return None
    try:
        if sys.stdout.fileno() != 1:
            return None
        kept = os.dup(1)
        os.dup2(2, 1)
    except (AttributeError, OSError, ValueError):  # no file, or closed
        return None
    return kept


def _value(part: Part) -> Any:
    """That part of the state, or None where there is none yet."""
    module = sys.modules.get(part.module)
    try:
        return None if module is None else part.read(module)
    except (AttributeError, OSError, RuntimeError):  # a module that is half imported; a folder that is gone
        return None


def _changed_variables(before: dict[Any, Any], now: dict[Any, Any]) -> str:
    names = (name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    return f"{ENVIRONMENT} ({', '.join(sorted(map(os.fsdecode, names)))})"
