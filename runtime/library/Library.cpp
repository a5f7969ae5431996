//===- Library.cpp - the functions by name ---------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A loader of machine code looks functions up here rather than in the process: the
// runtime may be part of a library whose symbols nobody else sees.
//
//===----------------------------------------------------------------------===//

#include "runtime/library/Library.h"

#include <cstring>

namespace {
struct Entry {
  const char *name;
  TesseraLibraryFn function;
};
} // namespace

#define TESSERA_LIBRARY_ENTRY(name) {#name, name}

static const Entry functions[] = {
    TESSERA_LIBRARY_ENTRY(tessera_cholesky),
    TESSERA_LIBRARY_ENTRY(tessera_eigh),
    TESSERA_LIBRARY_ENTRY(tessera_fft),
    TESSERA_LIBRARY_ENTRY(tessera_grouped_matmul),
    TESSERA_LIBRARY_ENTRY(tessera_householder_product),
    TESSERA_LIBRARY_ENTRY(tessera_inverse_real_fft),
    TESSERA_LIBRARY_ENTRY(tessera_lu),
    TESSERA_LIBRARY_ENTRY(tessera_lu_solve),
    TESSERA_LIBRARY_ENTRY(tessera_matrix_exp),
    TESSERA_LIBRARY_ENTRY(tessera_order_statistic),
    TESSERA_LIBRARY_ENTRY(tessera_qr),
    TESSERA_LIBRARY_ENTRY(tessera_real_fft),
    TESSERA_LIBRARY_ENTRY(tessera_running_extremum),
    TESSERA_LIBRARY_ENTRY(tessera_running_reduce),
    TESSERA_LIBRARY_ENTRY(tessera_scatter),
    TESSERA_LIBRARY_ENTRY(tessera_search_sorted),
    TESSERA_LIBRARY_ENTRY(tessera_sort),
    TESSERA_LIBRARY_ENTRY(tessera_svd),
    TESSERA_LIBRARY_ENTRY(tessera_topk),
    TESSERA_LIBRARY_ENTRY(tessera_triangular_solve),
};

TesseraLibraryFn tessera_library_function(const char *name) {
  for (const Entry &entry : functions)
    if (std::strcmp(entry.name, name) == 0)
      return entry.function;
  return nullptr;
}
