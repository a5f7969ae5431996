"""lit's configuration: which files are tests and which tools they may name."""

# lit runs this file with `config` and `lit_config` in scope.
# mypy: ignore-errors
# ruff: noqa: F821

import os

import lit.formats

config.name = "Tessera"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".test"]
config.excludes = ["CMakeLists.txt", "lit.cfg.py", "lit.site.cfg.py.in", "Inputs"]
config.test_source_root = os.path.join(config.tessera_src_root, "test")
config.test_exec_root = os.path.join(config.tessera_obj_root, "test")

# Tessera's tools first, then FileCheck, not, count and mlir-opt from LLVM.
config.environment["PATH"] = os.pathsep.join(
    [config.tessera_tools_dir, config.llvm_tools_dir, config.environment["PATH"]]
)
# A test must not read what an earlier run left in the user's cache.
config.environment["TESSERA_CACHE_DIR"] = os.path.join(config.test_exec_root, "cache")
for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "HOME"):
    if name in os.environ:
        config.environment[name] = os.environ[name]

# FileCheck prints the input around a failure; the whole of it hides the cause.
config.environment["FILECHECK_OPTS"] = "--dump-input-filter=error"

# Tests that run machine code say what they need: REQUIRES: avx512.
try:
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as cpuinfo:
        flags = next((line.split() for line in cpuinfo if line.startswith("flags")), [])
except OSError:
    flags = []
for feature, flag in (
    ("avx2", "avx2"),
    ("fma", "fma"),
    ("avx512", "avx512f"),
    ("avx512bf16", "avx512_bf16"),
    ("avx512vnni", "avx512_vnni"),
):
    if flag in flags:
        config.available_features.add(feature)
