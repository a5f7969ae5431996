//===- ExecutableObject.h - a compiled program as a Python callable ----------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A type of its own rather than one of nanobind's: called through the
// vectorcall protocol, a small program costs less than nanobind's dispatch.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_PYTHON_BINDINGS_EXECUTABLEOBJECT_H
#define TESSERA_PYTHON_BINDINGS_EXECUTABLEOBJECT_H

#include "python/bindings/Torch.h"
#include "runtime/DLPack.h"
#include "runtime/Executable.h"

#include <nanobind/nanobind.h>

#include <unordered_map>
#include <vector>

namespace tessera::runtime {
class NativeCall;
} // namespace tessera::runtime

namespace tessera::bindings {

namespace nb = nanobind;

/// A parameter, and what it was when the program last bound it.
struct BoundParameter {
  nb::object object;
  const Torch *torch = nullptr; ///< null: a _core.Tensor
  std::shared_ptr<void> held;   ///< see Torch::hold
  /// Writes to it matter: something was prepared or copied from it.
  bool watched = false;
  void *data = nullptr;
  int64_t version = 0;
};

/// An entry of one of a module's dictionaries (or, without a key, how many it has) that must stay
/// what it was when the program was made.
struct WatchedEntry {
  nb::object dict;
  nb::object key; ///< null: only the size counts
  nb::object value;
  Py_ssize_t size = 0;
  /// The dictionary's own count of writes when it was last looked at.
  uint64_t writes = 0;

  bool changed() {
    uint64_t now = countWrites();
    if (now != 0 && now == writes)
      return false;
    writes = now;
    if (!key.is_valid())
      return PyDict_GET_SIZE(dict.ptr()) != size;
    PyObject *entry = PyDict_GetItem(dict.ptr(), key.ptr());
    return (entry ? entry : Py_None) != value.ptr();
  }

private:
  uint64_t countWrites() const {
#if PY_VERSION_HEX < 0x030C0000
    return reinterpret_cast<PyDictObject *>(dict.ptr())->ma_version_tag;
#else
    return 0; // no longer there to read
#endif
  }
};

/// Moves when something wrote into parameters, no matter which, without torch counting it.
/// Guarded by the GIL.
inline uint64_t uncountedWrites = 0;

/// Everything behind an Executable object. Guarded by the GIL.
struct ExecutableState {
  std::unique_ptr<runtime::Executable> executable;
  nb::object compiled;
  std::vector<BoundParameter> parameters;
  std::shared_ptr<const runtime::Binding> binding;
  std::unordered_map<int64_t, nb::object> islands;
  /// Those of the islands that run without Python.
  std::unordered_map<int64_t, std::shared_ptr<const runtime::NativeCall>> natives;
  std::vector<WatchedEntry> watched;
  bool outdated = false;
  uint64_t seenWrites = uncountedWrites;
  /// Long enough to let other Python threads run meanwhile.
  bool releasesGil = false;
  int64_t calls = 0;

  /// Binds the parameters again where they changed since, or always. False with Python's error
  /// set.
  bool refresh(bool force);

  /// Whether the model is no longer the one the program was made from.
  bool isOutdated() {
    for (WatchedEntry &entry : watched)
      if (entry.changed())
        return outdated = true;
    return outdated;
  }

private:
  bool isFresh(const BoundParameter &parameter, size_t index) const;
};

struct ExecutableObject {
  PyObject_HEAD vectorcallfunc vectorcall;
  PyObject *weakReferences;
  ExecutableState *state;
};

/// The class of the error a call ends in when the program is outdated, before anything has run.
PyObject *outdatedError();

/// Runs the program on positional arguments; null with Python's error set. `nanoseconds` as in
/// runtime::Executable::run.
PyObject *callExecutable(ExecutableState &state, PyObject *const *arguments, size_t count,
                         uint64_t *nanoseconds);

} // namespace tessera::bindings

#endif // TESSERA_PYTHON_BINDINGS_EXECUTABLEOBJECT_H
