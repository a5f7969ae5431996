//===- MlirPch.cpp - Anchor that builds the precompiled header ------------===//
//
// Part of the Tessera project, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// CMake compiles a precompiled header only for a target with a source. Empty.
//
//===----------------------------------------------------------------------===//
