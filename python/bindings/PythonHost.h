//===- PythonHost.h - what a running program asks of Python ------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_PYTHON_BINDINGS_PYTHONHOST_H
#define TESSERA_PYTHON_BINDINGS_PYTHONHOST_H

#include "python/bindings/ExecutableObject.h"

namespace tessera::bindings {

class PythonHost final : public runtime::Host {
public:
  PythonHost(const ExecutableState &state, PyObject *const *arguments)
      : state(state), arguments(arguments) {}

  runtime::Status callIsland(int64_t id, std::span<const runtime::Tensor> inputs,
                             std::vector<runtime::Tensor> &results) override;
  runtime::Tensor retainInput(size_t index) override;
  bool interrupted() override;

  /// The caller holds the GIL around these.
  void releaseGil() { thread = PyEval_SaveThread(); }
  void acquireGil() { PyEval_RestoreThread(std::exchange(thread, nullptr)); }

private:
  /// Holds the GIL for a scope, whether or not the program runs without it.
  class WithGil {
  public:
    explicit WithGil(PythonHost &host) : host(host), released(host.thread) {
      if (released)
        host.acquireGil();
    }
    ~WithGil() {
      if (released)
        host.releaseGil();
    }

  private:
    PythonHost &host;
    bool released;
  };

  runtime::Status runIsland(nb::handle function, std::span<const runtime::Tensor> inputs,
                            std::vector<runtime::Tensor> &results);

  const ExecutableState &state;
  PyObject *const *arguments;
  PyThreadState *thread = nullptr; ///< while the GIL is released
};

} // namespace tessera::bindings

#endif // TESSERA_PYTHON_BINDINGS_PYTHONHOST_H
