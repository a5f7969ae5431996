# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Interleaved measurements of Tessera beside PyTorch and the other compilers.

``python -m benchmarks.kernels`` measures single kernels, ``python -m benchmarks.models``
whole models. Both measure the machine's FMA peak and its memory bandwidth in the same
run: on a shared machine only ratios taken together mean anything.
"""
