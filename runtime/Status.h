//===- Status.h - success, or an error meant for the user --------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The runtime is built without exceptions. Success is a null pointer, so that
// passing it along costs nothing on the fast path.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_RUNTIME_STATUS_H
#define TESSERA_RUNTIME_STATUS_H

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

namespace tessera::runtime {

/// Which exception the bindings raise.
enum class ErrorKind : uint8_t {
  Value,       ///< an argument of the right type with a wrong value, such as a shape
  Type,        ///< a wrong dtype, a wrong number of arguments
  Index,       ///< an index out of its range, found by a kernel
  Buffer,      ///< a tensor cannot be exchanged as asked
  Memory,      ///< an allocation failed
  Runtime,     ///< anything else that went wrong while running
  Interrupted, ///< the host asked to stop
  Host,        ///< an island failed; the host keeps the error itself
};

class [[nodiscard]] Status {
public:
  Status() = default;
  static Status error(ErrorKind kind, std::string message) {
    Status status;
    status.state = std::make_unique<State>(State{kind, std::move(message)});
    return status;
  }

  bool failed() const { return state != nullptr; }
  ErrorKind kind() const { return state->kind; }
  const std::string &message() const { return state->message; }

private:
  struct State {
    ErrorKind kind;
    std::string message;
  };
  std::unique_ptr<State> state;
};

} // namespace tessera::runtime

#endif // TESSERA_RUNTIME_STATUS_H
