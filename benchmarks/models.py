# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""`python -m benchmarks.models`."""

from benchmarks import run, zoo

if __name__ == "__main__":
    run.main("models", zoo.MODELS)
