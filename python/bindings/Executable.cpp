//===- Executable.cpp - the class Executable ---------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/api/Compiler.h"
#include "python/bindings/Bindings.h"
#include "python/bindings/ExecutableObject.h"
#include "python/bindings/FamilyObject.h"
#include "python/bindings/NativeObject.h"
#include "python/bindings/TensorExchange.h"
#include "runtime/Team.h"
#include "runtime/Threads.h"

#include <nanobind/stl/string.h>

#include <structmember.h>

using namespace tessera;
using namespace tessera::bindings;
using namespace tessera::runtime;

namespace {

/// Shorter programs are over before another thread could have used the GIL.
constexpr double kWorthReleasing = 50;

ExecutableState &stateOf(PyObject *self) {
  return *reinterpret_cast<ExecutableObject *>(self)->state;
}

/// Runs `body`, turning C++ exceptions into Python's; `body` returns null on an error.
template <typename Body> PyObject *guarded(const Body &body) {
  try {
    return body();
  } catch (nb::python_error &error) {
    error.restore();
  } catch (const nb::builtin_exception &error) {
    PyErr_SetString(error.type() == nb::exception_type::type_error ? PyExc_TypeError
                                                                   : PyExc_ValueError,
                    error.what());
  } catch (const std::bad_alloc &) {
    PyErr_NoMemory();
  } catch (const std::bad_cast &) {
    PyErr_SetString(PyExc_TypeError, "an argument of an Executable has the wrong type");
  } catch (const std::exception &error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
  return nullptr;
}

//===----------------------------------------------------------------------===//
// Construction
//===----------------------------------------------------------------------===//

BoundParameter parameterFrom(nb::handle object, const Executable &executable, size_t index) {
  BoundParameter parameter;
  parameter.object = nb::borrow(object);
  const Torch *torch = Torch::get();
  if (torch && torch->isPlain(object.ptr()))
    parameter.torch = torch;
  else if (!isCoreTensor(object.ptr()))
    throw nb::type_error((executable.describeParameter(index) + " is a " +
                          Py_TYPE(object.ptr())->tp_name +
                          "; expected a torch.Tensor, a torch.nn.Parameter or a tessera Tensor "
                          "(subclasses may hide where their data is)")
                             .c_str());
  return parameter;
}

void addIslands(ExecutableState &state, nb::handle islands) {
  constexpr const char *expected = "a dict of callables by the islands' ids";
  if (!PyDict_Check(islands.ptr()))
    raiseWrongType("Executable", "islands", expected, islands);
  for (auto [id, function] : nb::borrow<nb::dict>(islands)) {
    auto key = castArgument<int64_t>(id, "Executable", "islands", "a dict with integer keys");
    if (!PyCallable_Check(function.ptr()))
      raiseWrongType("Executable", "islands[" + std::to_string(key) + "]", "callable", function);
    state.islands[key] = nb::borrow(function);
    NativeCallObject *native = nullptr;
    if (nb::try_cast(function, native) && native)
      state.natives[key] = native->call;
  }
}

/// What the constructor was called with; null is left out, None as well where it has a meaning.
struct Construction {
  PyObject *compiled = nullptr, *parameters = Py_None, *islands = Py_None;
  PyObject *name = nullptr, *threads = nullptr, *family = Py_None;
};

void initialise(ExecutableState &state, const Construction &given) {
  CompiledProgram *compiled = nullptr;
  if (!nb::try_cast(nb::handle(given.compiled), compiled) || !compiled)
    raiseWrongType("Executable", "compiled", "what _core.compile() returns", given.compiled);
  std::string name = "program";
  if (given.name)
    name = castArgument<std::string>(given.name, "Executable", "name", "a string");
  int threads = 1;
  if (given.threads)
    threads = castArgument<int>(given.threads, "Executable", "threads", "an integer");
  std::shared_ptr<Program> program = compiled->program;
  state.compiled = nb::borrow(given.compiled);
  FamilyObject *family = nullptr;
  if (given.family != Py_None && !nb::try_cast(nb::handle(given.family), family))
    raiseWrongType("Executable", "family", "a KernelFamily or None", given.family);
  Status status = Executable::create(program, {name, threads, family ? family->pool : nullptr},
                                     state.executable);
  if (status.failed())
    raise(status);
  if (given.parameters != Py_None) {
    for (nb::handle object :
         iterate(given.parameters, "Executable", "parameters", "a sequence of tensors")) {
      if (state.parameters.size() == program->parameters.size())
        throw nb::value_error("more parameters were given than the program has");
      state.parameters.push_back(parameterFrom(object, *state.executable, state.parameters.size()));
    }
  }
  if (given.islands != Py_None)
    addIslands(state, given.islands);
  state.releasesGil = state.executable->hasIslands() ||
                      state.executable->predictedMicroseconds() >= kWorthReleasing;
}

PyObject *vectorcall(PyObject *self, PyObject *const *arguments, size_t flags, PyObject *keywords) {
  if (keywords && PyTuple_GET_SIZE(keywords) != 0) {
    PyErr_SetString(PyExc_TypeError, "an Executable takes tensors by position only");
    return nullptr;
  }
  return guarded([&] {
    return callExecutable(stateOf(self), arguments, size_t(PyVectorcall_NARGS(flags)), nullptr);
  });
}

PyObject *create(PyTypeObject *type, PyObject *arguments, PyObject *keywords) {
  static const char *names[] = {"compiled", "parameters", "islands", "name",
                                "threads",  "family",     nullptr};
  Construction given;
  if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "O|OOOOO:Executable",
                                   const_cast<char **>(names), &given.compiled, &given.parameters,
                                   &given.islands, &given.name, &given.threads, &given.family))
    return nullptr;
  PyObject *self = type->tp_alloc(type, 0);
  if (!self)
    return nullptr;
  auto *object = reinterpret_cast<ExecutableObject *>(self);
  object->vectorcall = vectorcall;
  object->state = new ExecutableState;
  PyObject *done = guarded([&] {
    initialise(*object->state, given);
    return self;
  });
  if (!done)
    Py_DECREF(self);
  return done;
}

//===----------------------------------------------------------------------===//
// Garbage collection: an island's function usually refers back to its module
//===----------------------------------------------------------------------===//

int traverse(PyObject *self, visitproc visit, void *arg) {
  Py_VISIT(Py_TYPE(self));
  ExecutableState *state = reinterpret_cast<ExecutableObject *>(self)->state;
  if (!state)
    return 0;
  Py_VISIT(state->compiled.ptr());
  for (BoundParameter &parameter : state->parameters)
    Py_VISIT(parameter.object.ptr());
  for (auto &[id, function] : state->islands)
    Py_VISIT(function.ptr());
  for (WatchedEntry &entry : state->watched) {
    Py_VISIT(entry.dict.ptr());
    Py_VISIT(entry.value.ptr());
  }
  return 0;
}

int clear(PyObject *self) {
  ExecutableState *state = reinterpret_cast<ExecutableObject *>(self)->state;
  if (state)
    // Moved out first: dropping a reference may run code that looks at this object.
    auto islands = std::move(state->islands);
  return 0;
}

void destroy(PyObject *self) {
  PyTypeObject *type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  PyObject_ClearWeakRefs(self);
  delete std::exchange(reinterpret_cast<ExecutableObject *>(self)->state, nullptr);
  type->tp_free(self);
  Py_DECREF(type);
}

//===----------------------------------------------------------------------===//
// Methods
//===----------------------------------------------------------------------===//

PyObject *profile(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {
  return guarded([&]() -> PyObject * {
    ExecutableState &state = stateOf(self);
    std::vector<uint64_t> nanoseconds(state.executable->getProgram().main.size());
    nb::object result =
        nb::steal(callExecutable(state, arguments, size_t(count), nanoseconds.data()));
    if (!result.is_valid())
      return nullptr;
    nb::list times;
    for (uint64_t spent : nanoseconds)
      times.append(spent);
    return nb::make_tuple(result, times).release().ptr();
  });
}

PyObject *refresh(PyObject *self, PyObject *) {
  return guarded([&]() -> PyObject * {
    return stateOf(self).refresh(/*force=*/true) ? Py_NewRef(Py_None) : nullptr;
  });
}

WatchedEntry watchedFrom(nb::handle item) {
  constexpr const char *expected = "(dict, key, value) or (dict, None, size)";
  if (!PyTuple_Check(item.ptr()) || PyTuple_GET_SIZE(item.ptr()) != 3 ||
      !PyDict_Check(PyTuple_GET_ITEM(item.ptr(), 0)))
    raiseWrongType("watch", "entries", expected, item);
  nb::tuple given = nb::borrow<nb::tuple>(item);
  WatchedEntry entry;
  entry.dict = nb::borrow(given[0]);
  if (given[1].is_none())
    entry.size = castArgument<Py_ssize_t>(given[2], "watch", "entries", expected);
  else {
    entry.key = nb::borrow(given[1]);
    entry.value = nb::borrow(given[2]);
  }
  return entry;
}

PyObject *watch(PyObject *self, PyObject *entries) {
  return guarded([&]() -> PyObject * {
    std::vector<WatchedEntry> watched;
    for (nb::handle item : iterate(entries, "watch", "entries", "a sequence of tuples"))
      watched.push_back(watchedFrom(item));
    // Swapped, so that what was watched before is let go after the list is whole again.
    stateOf(self).watched.swap(watched);
    stateOf(self).outdated = false;
    return Py_NewRef(Py_None);
  });
}

PyObject *outdated(PyObject *self, void *) { return PyBool_FromLong(stateOf(self).isOutdated()); }

PyObject *stats(PyObject *self, void *) {
  return guarded([&]() -> PyObject * {
    ExecutableState &state = stateOf(self);
    Executable::Counters counters = state.executable->counters();
    nb::dict dict;
    dict["calls"] = state.calls;
    dict["prepares"] = counters.prepares;
    dict["input_copies"] = counters.inputCopies;
    dict["arena_bytes"] = state.executable->getProgram().arenaBytes;
    dict["threads"] = state.executable->threadsNow();
    return dict.release().ptr();
  });
}

PyObject *name(PyObject *self, void *) {
  return PyUnicode_FromString(stateOf(self).executable->getOptions().name.c_str());
}

PyObject *compiled(PyObject *self, void *) { return stateOf(self).compiled.inc_ref().ptr(); }

PyMethodDef methods[] = {
    {"profile", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(profile)), METH_FASTCALL,
     "profile(*tensors)\n--\n\nRuns the program; the result, and the nanoseconds spent on each "
     "instruction."},
    {"refresh", refresh, METH_NOARGS,
     "refresh()\n--\n\nReads all parameters again, for writes that torch does not count."},
    {"watch", watch, METH_O,
     "watch(entries)\n--\n\nMakes calls end in OutdatedError once one of these no longer holds: "
     "(dict, key, value), or (dict, None, size)."},
    {nullptr, nullptr, 0, nullptr}};

PyGetSetDef properties[] = {
    {"outdated", outdated, nullptr, "Whether something watched has changed.", nullptr},
    {"stats", stats, nullptr, "Counters: calls, prepares, copied inputs; memory and threads.",
     nullptr},
    {"name", name, nullptr, "What the program's messages begin with.", nullptr},
    {"compiled", compiled, nullptr, "The CompiledProgram that runs.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyMemberDef members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(ExecutableObject, vectorcall), READONLY, nullptr},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(ExecutableObject, weakReferences), READONLY,
     nullptr},
    {nullptr, 0, 0, 0, nullptr}};

PyType_Slot slots[] = {
    {Py_tp_doc,
     const_cast<char *>(
         "Executable(compiled, parameters=(), islands={}, name=\"program\", "
         "threads=1, family=None)\n--\n\nA compiled program with its parameters; called with the "
         "program's inputs. One output comes as it is, several as a tuple: torch "
         "tensors, unless all inputs are tessera's own.")},
    {Py_tp_new, reinterpret_cast<void *>(create)},
    {Py_tp_dealloc, reinterpret_cast<void *>(destroy)},
    {Py_tp_call, reinterpret_cast<void *>(PyVectorcall_Call)},
    {Py_tp_traverse, reinterpret_cast<void *>(traverse)},
    {Py_tp_clear, reinterpret_cast<void *>(clear)},
    {Py_tp_methods, methods},
    {Py_tp_getset, properties},
    {Py_tp_members, members},
    {0, nullptr}};

PyType_Spec spec = {"tessera._core.Executable", sizeof(ExecutableObject), 0,
                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL, slots};

} // namespace

PyObject *tessera::bindings::outdatedError() {
  // Lives as long as the process.
  static PyObject *error = PyErr_NewExceptionWithDoc(
      "tessera._core.OutdatedError", "The model is no longer the one the program was made from.",
      PyExc_RuntimeError, nullptr);
  return error;
}

void tessera::bindings::init_executable(nb::module_ &m) {
  m.attr("OutdatedError") = nb::borrow(outdatedError());
  nb::object type = nb::steal(PyType_FromSpec(&spec));
  if (!type.is_valid())
    throw nb::python_error();
  m.attr("Executable") = type;
  m.def(
      "note_writes", [] { ++uncountedWrites; },
      "Makes every program read its parameters again at its next call.");
  m.def("default_threads", &defaultThreads,
        "Threads that programs without a number of their own run on now.");
  m.def("set_default_threads", &setDefaultThreads, nb::arg("threads"),
        "Sets that number; 0: as many as PyTorch uses at each call.");
  m.def(
      "thread_team", [] { return currentTeam().name(); },
      "Whose threads run programs at the moment: \"openmp\" (torch's) or \"pool\".");
  m.def(
      "knows_torch_layout",
      [] {
        const Torch *torch = Torch::get();
        return torch && torch->knowsLayout();
      },
      "Whether torch's tensors are read where torch keeps them, which the first call decides.");
}
