#!/usr/bin/env python3
# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Runs every suite of tests and check, and says in plain words what failed.

    utils/run_tests.py                      everything, as `make test` does
    utils/run_tests.py lit pytest           only these suites
    utils/run_tests.py --preset asan unit   the unit tests of another build

A suite that fails does not stop the others. Each one's whole output is in
build/logs/<suite>.log; the last line counts over all of them. Uses nothing
but the standard library, so that a broken environment is reported, not met.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOGS = ROOT / "build" / "logs"

# Long enough for two slow cores, short enough that a hang is seen as one.
SUITE_TIMEOUT_SECONDS = 2400


@dataclass
class Outcome:
    """What one suite did: counts, and the names of what failed."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    failures: list[str] = field(default_factory=list)

    def add(self, other: Outcome) -> None:
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.failures += other.failures


def broken(name: str, why: str) -> Outcome:
    """The outcome of a suite that could not run, which counts as a failure."""
    return Outcome(failed=1, failures=[f"{name}: {why}"])


def run(
    name: str,
    command: list[str],
    *,
    show: bool = False,
    append: bool = False,
    extra: dict[str, str] | None = None,
) -> int | None:
    """Runs a command with its output in the suite's log; None when it ran too long.

    `extra` is added to the tests' environment.
    """
    log = LOGS / f"{name}.log"
    timed_out = threading.Event()
    with open(log, "a" if append else "w", encoding="utf-8", errors="replace") as out:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment() | (extra or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )

        def stop() -> None:
            timed_out.set()
            os.killpg(process.pid, signal.SIGKILL)  # its children as well

        timer = threading.Timer(SUITE_TIMEOUT_SECONDS, stop)
        timer.start()
        assert process.stdout is not None
        try:
            for line in process.stdout:
                out.write(line)
                out.flush()
                if show:
                    print(line, end="", flush=True)
            status = process.wait()
        except BaseException:  # Ctrl-C does not reach a session of its own
            os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            timer.cancel()
    return None if timed_out.is_set() else status


def environment() -> dict[str, str]:
    """The tests' environment: this checkout's package and a cache of their own."""
    env = dict(os.environ)
    env["PYTHONPATH"] = str(ROOT / "python")
    env["TESSERA_CACHE_DIR"] = str(ROOT / "build" / "test-cache")
    # LLVM's dylibs are not instrumented: containers that they resize look broken.
    env.setdefault("ASAN_OPTIONS", "detect_container_overflow=0:detect_leaks=0")
    env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
    return env


def tail(name: str, lines: int = 30) -> str:
    text = (LOGS / f"{name}.log").read_text(encoding="utf-8", errors="replace")
    return "\n".join("    " + line for line in text.splitlines()[-lines:])


# --- The suites -----------------------------------------------------------------


def check(name: str, command: list[str]) -> Outcome:
    """A check that passes or fails as a whole, such as mypy."""
    status = run(name, command)
    if status == 0:
        return Outcome(passed=1)
    print(tail(name))
    return broken(name, "took too long" if status is None else f"see build/logs/{name}.log")


def unit(tree: Path) -> Outcome:
    """C++ unit tests: every gtest binary of the build."""
    total = Outcome()
    binaries = sorted((tree / "unittests").glob("*-tests"))
    if not binaries:
        where = tree.relative_to(ROOT)
        remedy = f"install GoogleTest (libgtest-dev), then cmake --preset {tree.name}; utils/build"
        return broken("unit", f"no test binary in {where}/unittests: {remedy}")
    (LOGS / "unit.log").unlink(missing_ok=True)
    for binary in binaries:
        result = LOGS / f"{binary.name}.json"
        result.unlink(missing_ok=True)
        command = [str(binary), f"--gtest_output=json:{result}", "--gtest_brief=1"]
        status = run("unit", command, append=True)
        if not result.exists():
            why = "took too long" if status is None else f"died with status {status}"
            total.add(broken(binary.name, why))
            continue
        total.add(read_gtest(binary.name, json.loads(result.read_text(encoding="utf-8"))))
        if status != 0 and not total.failed:
            total.add(broken(binary.name, f"ended with status {status}"))
    return total


def read_gtest(binary: str, result: dict[str, list[dict[str, list[dict[str, object]]]]]) -> Outcome:
    outcome = Outcome()
    for suite in result["testsuites"]:
        for test in suite["testsuite"]:
            if test.get("failures"):
                outcome.failed += 1
                outcome.failures.append(f"{binary}: {test['classname']}.{test['name']}")
            elif test.get("result") == "SKIPPED":
                outcome.skipped += 1
            else:
                outcome.passed += 1
    return outcome


def lit(tree: Path) -> Outcome:
    """IR tests: lit over the build's copy of test/."""
    result = LOGS / "lit.json"
    result.unlink(missing_ok=True)
    # lit has no `python -m`, and prints a failed test's output only with -v.
    program = str(Path(sys.executable).parent / "lit")
    command = [program, "-v", "-o", str(result), str(tree / "test")]
    status = run("lit", command)
    if not result.exists():
        return broken("lit", "took too long" if status is None else "see build/logs/lit.log")
    outcome = Outcome()
    for test in json.loads(result.read_text(encoding="utf-8"))["tests"]:
        if test["code"] in ("PASS", "XFAIL", "FLAKYPASS"):
            outcome.passed += 1
        elif test["code"] in ("UNSUPPORTED", "EXCLUDED", "SKIPPED"):
            outcome.skipped += 1
        else:
            outcome.failed += 1
            outcome.failures.append(f"lit: {test['name']}")
    return outcome


#: Under AddressSanitizer: the tests of what the extension itself does with memory. The others spend
#: their time in PyTorch's capture and in machine code, where nothing is watched.
SANITIZED_TESTS = [
    f"tests/unit/test_{name}.py"
    for name in (
        "binding_types", "dlpack", "executable", "native_kernels", "runtime_threads", "tensor",
        "tensor_python",
    )
]  # fmt: skip


def cached(tree: Path, name: str) -> str:
    """A variable of CMake's cache; empty when it is not there."""
    cache = tree / "CMakeCache.txt"
    text = cache.read_text(encoding="utf-8") if cache.exists() else ""
    match = re.search(rf"^{name}:\w+=(.*)$", text, re.MULTILINE)
    return match[1] if match else ""


def sanitized_environment(tree: Path) -> dict[str, str]:
    """What lets Python load an extension that was built with AddressSanitizer."""
    package = tree / "python" / "tessera"
    for item in (ROOT / "python" / "tessera").iterdir():
        link = package / item.name
        if item.suffix != ".so" and not os.path.lexists(link):
            link.symlink_to(item)
    # The second is what cmake/ChooseCompiler.cmake found, where nobody named one.
    compiler = cached(tree, "CMAKE_CXX_COMPILER") or cached(tree, "TESSERA_CLANGXX")
    # Python is not instrumented, so the sanitizer must be there before it. The C++ library comes
    # with it: the sanitizer looks for the function that throws as soon as it is loaded.
    names = ("libclang_rt.asan-x86_64.so" if "clang" in compiler else "libasan.so", "libstdc++.so")
    command = [[compiler, f"-print-file-name={name}"] for name in names]
    found = [subprocess.run(one, capture_output=True, text=True, check=True) for one in command]
    return {
        "PYTHONPATH": str(tree / "python"),
        "LD_PRELOAD": " ".join(os.path.realpath(one.stdout.strip()) for one in found),
        # Python and torch keep what they have until the end.
        "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "")
        + ":detect_leaks=0:detect_container_overflow=0:allow_user_poisoning=0",
    }


def pytest(tree: Path) -> Outcome:
    """Python tests. Shown as they run, being the longest suite."""
    result = LOGS / "pytest.xml"
    result.unlink(missing_ok=True)
    paths, extra = ["tests"], {}
    if "address" in cached(tree, "TESSERA_SANITIZE"):
        if not list((tree / "python" / "tessera").glob("_core.*.so")):
            where = f"{tree.relative_to(ROOT)}/python/tessera"
            return broken("pytest", f"no extension in {where}: remove the build, make it again")
        paths, extra = SANITIZED_TESTS, sanitized_environment(tree)
    command = [sys.executable, "-m", "pytest", *paths, "-q", "--tb=short", "-ra"]
    command += ["-o", "console_output_style=count", f"--junit-xml={result}"]
    # Workers: a crash fails one test, and the others still run. One for each core, since most of
    # a test is capture and compilation, which use one.
    command += ["-n", str(os.cpu_count() or 1), "--dist", "worksteal", "--max-worker-restart=20"]
    status = run("pytest", command, show=True, extra=extra)
    if status == 5:  # pytest's word for an empty folder
        return Outcome()
    if not result.exists():
        return broken("pytest", "took too long" if status is None else "see build/logs/pytest.log")
    outcome = Outcome()
    for case in ElementTree.parse(result).iter("testcase"):
        name = f"pytest: {case.get('classname')}.{case.get('name')}"
        if case.find("failure") is not None or case.find("error") is not None:
            outcome.failed += 1
            outcome.failures.append(name)
        elif case.find("skipped") is not None:
            outcome.skipped += 1
        else:
            outcome.passed += 1
    if status != 0 and not outcome.failed:
        outcome.add(broken("pytest", f"ended with status {status}"))
    return outcome


def docs(tree: Path) -> Outcome:
    """docs/reference and the op map against the code that they are written from."""
    command = [sys.executable, str(ROOT / "utils" / "generate_docs.py"), "--check"]
    return check("docs", [*command, "--preset", tree.name])


def lint_check(name: str) -> Callable[[Path], Outcome]:
    return lambda _: check(name, [str(ROOT / "utils" / "lint"), name])


# Cheap ones first: they fail within seconds of a mistake.
SUITES: dict[str, tuple[str, Callable[[Path], Outcome]]] = {
    "layers": ("who may include whom", lint_check("layers")),
    "ruff": ("Python style", lint_check("ruff")),
    "mypy": ("Python types", lint_check("mypy")),
    "docs": ("generated pages are what make docs writes", docs),
    "unit": ("C++ unit tests", unit),
    "lit": ("IR tests", lit),
    "pytest": ("Python tests, PyTorch in float64 as the oracle", pytest),
}


def main() -> int:
    parser = argparse.ArgumentParser(description="Runs every suite of tests.")
    parser.add_argument("suites", nargs="*", help=f"any of {', '.join(SUITES)} (default: all)")
    parser.add_argument("--preset", default="dev", help="the build to test (default: dev)")
    arguments = parser.parse_args()
    unknown = set(arguments.suites) - set(SUITES)
    if unknown:
        parser.error(f"unknown suite: {', '.join(sorted(unknown))}")

    LOGS.mkdir(parents=True, exist_ok=True)
    tree = ROOT / "build" / arguments.preset
    total, lines = Outcome(), []
    for name, (words, suite) in SUITES.items():
        if arguments.suites and name not in arguments.suites:
            continue
        print(f"==> {name}: {words}", flush=True)
        start = time.monotonic()
        outcome = suite(tree)
        seconds = time.monotonic() - start
        line = f"{name}: {outcome.passed} passed, {outcome.failed} failed"
        if outcome.skipped:
            line += f", {outcome.skipped} skipped"
        print(f"    {line} in {seconds:.1f} s", flush=True)
        lines.append(line)
        total.add(outcome)

    print()
    if total.failures:
        print("What failed:")
        print("\n".join(f"  {name}" for name in total.failures))
        print("Whole outputs are in build/logs; one suite again: utils/run_tests.py <suite>")
        print()
    print("\n".join(lines))
    print(f"{total.passed} passed, {total.failed} failed")
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
