# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What this machine can do, for tests of any part."""

from tessera import _core

#: Whether the CPU multiplies pairs of bfloat16 (`vdpbf16ps`).
HAS_DOT = "+avx512bf16" in _core.host_info().features.split(",")
#: Whether it has vectors of 512 bits.
HAS_AVX512 = _core.host_info().vector_bits == 512
