# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Layers as modules: PyTorch's names, arguments, parameters and initial values, run by Tessera."""
