//===- ExecutableCall.cpp - the way of a call --------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The whole way from Python's arguments to Python's results. A tiny program
// runs in less time than one attribute lookup takes, so here nothing is done
// twice and nothing is allocated that could be on the stack.
//
//===----------------------------------------------------------------------===//

#include "python/bindings/Bindings.h"
#include "python/bindings/ExecutableObject.h"
#include "python/bindings/PythonHost.h"
#include "python/bindings/TensorExchange.h"

#include <nanobind/stl/string.h>

#include <algorithm>
#include <memory>

using namespace tessera::bindings;
using namespace tessera::runtime;

namespace {

/// `count` default-made elements, on the stack while they are few.
template <typename T, size_t N> class FewOrMany {
public:
  explicit FewOrMany(size_t count) : count(count) {
    if (count > N)
      many = std::make_unique<T[]>(count);
  }
  T &operator[](size_t index) { return many ? many[index] : few[index]; }
  std::span<T> span() { return {many ? many.get() : few, count}; }

private:
  size_t count;
  T few[N];
  std::unique_ptr<T[]> many;
};

/// What another library said stays the cause; which tensor it was, ours says.
void chainError(nb::python_error &error, const std::string &tensor) {
  std::string reason = nb::cast<std::string>(nb::str(error.value()));
  // The lines after torch's first are a stack of its C++ functions.
  reason = reason.substr(0, reason.find('\n'));
  PyObject *kind = error.matches(PyExc_TypeError) ? PyExc_TypeError : PyExc_ValueError;
  error.restore();
  // An interrupt is nobody's mistake.
  if (PyErr_ExceptionMatches(PyExc_Exception))
    nb::chain_error(kind, "%s cannot be used: %s", tensor.c_str(), reason.c_str());
}

/// The arguments of one call.
class Arguments {
public:
  Arguments(const ExecutableState &state, PyObject *const *given, size_t count)
      : state(state), objects(given, count), views(count) {}

  /// False with Python's error set.
  bool take() {
    for (size_t i = 0; i < objects.size(); ++i)
      if (!takeOne(i))
        return false;
    return true;
  }
  std::span<const TensorView> getViews() { return views.span(); }
  PyObject *const *getObjects() const { return settled ? settled->data() : objects.data(); }
  /// Results come as torch's tensors, unless only _core.Tensor came in.
  const Torch *resultsFrom() const { return sawTorch || !sawCore ? Torch::get() : nullptr; }

private:
  bool takeOne(size_t index);
  bool takePlain(const Torch &torch, size_t index);
  bool takeOther(size_t index);
  bool fail(size_t index, const Status &status) {
    setError(status, state.executable->describeInput(index) + ": ");
    return false;
  }

  const ExecutableState &state;
  std::span<PyObject *const> objects;
  FewOrMany<TensorView, 8> views;
  bool sawTorch = false, sawCore = false;
  /// Where an argument was replaced by another tensor: all of them, and what keeps them alive.
  std::unique_ptr<std::vector<PyObject *>> settled;
  std::vector<nb::object> kept;
};

bool Arguments::takeOne(size_t index) {
  PyObject *object = objects[index];
  const Torch *torch = Torch::get();
  if (torch && torch->isPlain(object))
    return takePlain(*torch, index);
  if (isCoreTensor(object)) {
    sawCore = true;
    views[index] = coreTensor(object).view();
    return true;
  }
  return takeOther(index);
}

bool Arguments::takePlain(const Torch &torch, size_t index) {
  PyObject *object = objects[index];
  sawTorch = true;
  int requiresGrad = torch.requiresGrad(object);
  if (requiresGrad < 0)
    return false;
  // Where something is out of the ordinary, the general way settles it or says what is wrong.
  return (!requiresGrad && torch.look(object, views[index])) || takeOther(index);
}

/// Imports whatever it is into a tensor that lives as long as the call.
bool Arguments::takeOther(size_t index) {
  try {
    const Torch *torch = Torch::get();
    sawTorch |= torch && torch->isTensor(objects[index]);
    Tensor tensor = tensorFromObject(objects[index], Gradients::RefuseIfRecorded);
    nb::object wrapped = nb::steal(wrapCore(std::move(tensor)));
    if (!wrapped.is_valid())
      return false;
    views[index] = coreTensor(wrapped.ptr()).view();
    if (!settled)
      settled = std::make_unique<std::vector<PyObject *>>(objects.begin(), objects.end());
    (*settled)[index] = wrapped.ptr();
    kept.push_back(std::move(wrapped));
    return true;
  } catch (nb::python_error &error) {
    chainError(error, state.executable->describeInput(index));
    return false;
  } catch (const nb::builtin_exception &error) {
    ErrorKind kind =
        error.type() == nb::exception_type::type_error ? ErrorKind::Type : ErrorKind::Value;
    return fail(index, Status::error(kind, error.what()));
  }
}

/// The Python object of one output; null with Python's error set.
PyObject *wrapOutput(const ExecutableState &state, Arguments &arguments, size_t index,
                     PyObject *const *given, Tensor tensor, const Torch *torch) {
  int32_t input = tensor.defined() ? -1 : state.executable->passedThrough(index);
  if (input < 0)
    return torch ? torch->wrap(std::move(tensor)) : wrapCore(std::move(tensor));
  // The caller's own object where it is of the kind that results come in.
  PyObject *used = arguments.getObjects()[input];
  if (torch ? used == given[input] && torch->isPlain(used) : isCoreTensor(used))
    return Py_NewRef(used);
  return torch ? torch->wrap(coreTensor(used)) : wrapCore(coreTensor(used));
}

PyObject *wrapOutputs(const ExecutableState &state, Arguments &arguments, PyObject *const *given,
                      std::span<Tensor> outputs) {
  const Torch *torch = arguments.resultsFrom();
  if (outputs.size() == 1)
    return wrapOutput(state, arguments, 0, given, std::move(outputs[0]), torch);
  PyObject *tuple = PyTuple_New(Py_ssize_t(outputs.size()));
  if (!tuple)
    return nullptr;
  for (size_t i = 0; i < outputs.size(); ++i) {
    PyObject *item = wrapOutput(state, arguments, i, given, std::move(outputs[i]), torch);
    if (!item) {
      Py_DECREF(tuple);
      return nullptr;
    }
    PyTuple_SET_ITEM(tuple, Py_ssize_t(i), item);
  }
  return tuple;
}

} // namespace

PyObject *tessera::bindings::callExecutable(ExecutableState &state, PyObject *const *arguments,
                                            size_t count, uint64_t *nanoseconds) {
  const Executable &executable = *state.executable;
  if (count != executable.getProgram().inputs.size()) {
    PyErr_Format(PyExc_TypeError, "[%s] got %zu tensors, compiled for %zu",
                 executable.getOptions().name.c_str(), count,
                 executable.getProgram().inputs.size());
    return nullptr;
  }
  if (state.isOutdated()) {
    PyErr_Format(outdatedError(), "[%s] the model has changed since the program was made",
                 executable.getOptions().name.c_str());
    return nullptr;
  }
  uint64_t writes = uncountedWrites;
  if (!state.refresh(/*force=*/writes != state.seenWrites))
    return nullptr;
  state.seenWrites = writes;
  Arguments taken(state, arguments, count);
  if (!taken.take())
    return nullptr;
  FewOrMany<Tensor, 4> outputs(executable.getProgram().outputs.size());
  PythonHost host(state, taken.getObjects());
  Status status;
  if (state.releasesGil) {
    // Another thread may bind new parameters meanwhile; this call keeps its own.
    std::shared_ptr<const Binding> binding = state.binding;
    host.releaseGil();
    status = executable.run(binding, taken.getViews(), host, outputs.span(), nanoseconds);
    host.acquireGil();
  } else {
    status = executable.run(state.binding, taken.getViews(), host, outputs.span(), nanoseconds);
  }
  ++state.calls;
  if (status.failed()) {
    setError(status);
    return nullptr;
  }
  return wrapOutputs(state, taken, arguments, outputs.span());
}

//===----------------------------------------------------------------------===//
// Parameters
//===----------------------------------------------------------------------===//

namespace {

/// Whether a plain tensor still has the layout that was bound.
bool sameLayoutAndType(const TensorView &now, const TensorSpec &then) {
  size_t rank = then.sizes.size();
  return now.dtype == then.dtype && size_t(now.rank) == rank &&
         std::equal(then.sizes.begin(), then.sizes.end(), now.sizes) &&
         std::equal(then.strides.begin(), then.strides.end(), now.strides);
}

} // namespace

bool ExecutableState::isFresh(const BoundParameter &parameter, size_t index) const {
  // A _core.Tensor never moves, and has no counter of writes.
  if (!parameter.torch)
    return true;
  TensorView now;
  return parameter.torch->look(parameter.object.ptr(), now) && now.data == parameter.data &&
         sameLayoutAndType(now, binding->parameters[index].spec()) &&
         (!parameter.watched ||
          parameter.torch->version(parameter.object.ptr()) == parameter.version);
}

bool ExecutableState::refresh(bool force) {
  bool fresh = binding && !force;
  for (size_t i = 0; fresh && i < parameters.size(); ++i)
    fresh = isFresh(parameters[i], i);
  if (fresh)
    return true;
  std::vector<Tensor> tensors;
  std::vector<BoundParameter> seen;
  for (size_t i = 0; i < parameters.size(); ++i) {
    BoundParameter parameter = parameters[i];
    try {
      // Read before the memory is: a write in between is then noticed the next time.
      if (parameter.torch)
        parameter.version = parameter.torch->version(parameter.object.ptr());
      tensors.push_back(tensorFromObject(parameter.object, Gradients::Ignore));
      if (parameter.torch)
        parameter.held = parameter.torch->hold(parameter.object.ptr());
    } catch (nb::python_error &error) {
      chainError(error, executable->describeParameter(i));
      return false;
    } catch (const nb::builtin_exception &error) {
      setError(Status::error(ErrorKind::Value, error.what()),
               executable->describeParameter(i) + ": ");
      return false;
    }
    parameter.data = tensors.back().data();
    const TensorSpec &expected = executable->getProgram().parameters[i].type;
    const TensorSpec &given = tensors.back().spec();
    if (!watched.empty() && (given.dtype != expected.dtype || given.sizes != expected.sizes)) {
      // The same tensor in another form, as module.double() makes it: whoever watches makes
      // another program.
      outdated = true;
      PyErr_Format(outdatedError(), "%s has another form than the program was made for",
                   executable->describeParameter(i).c_str());
      return false;
    }
    parameter.watched = executable->getProgram().parameters[i].prepared ||
                        (tensors.back().spec().sizes == expected.sizes &&
                         executable->copiesParameter(tensors.back().view(), i));
    seen.push_back(std::move(parameter));
  }
  // Writes tell values apart, those that torch counts and those that somebody noted.
  std::vector<int64_t> writes;
  for (const BoundParameter &parameter : seen)
    if (!force)
      writes.push_back(parameter.version + (int64_t(uncountedWrites) << 40));
  PythonHost host(*this, nullptr);
  std::shared_ptr<const Binding> made;
  host.releaseGil();
  Status status = executable->bind(std::move(tensors), host, made, writes);
  host.acquireGil();
  if (status.failed()) {
    setError(status);
    return false;
  }
  // Both at once and under the GIL: they describe each other.
  parameters = std::move(seen);
  binding = std::move(made);
  return true;
}
