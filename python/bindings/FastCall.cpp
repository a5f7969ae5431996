//===- FastCall.cpp - calling a module without Python code in between ---------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A module's __call__: what its attribute `_fast` holds is called at once. A frame
// of Python around that would take a quarter of a small model's time.
//
//===----------------------------------------------------------------------===//

#include "python/bindings/Bindings.h"
#include "python/bindings/ExecutableObject.h"

#include <structmember.h>

using namespace tessera::bindings;

namespace {

struct FastCall {
  PyObject_HEAD vectorcallfunc vectorcall;
  PyObject *function; ///< the method in Python: answers whatever has no fast way
  PyObject *unless;   ///< takes nothing: whether there is none at the moment
};

struct Names {
  PyObject *fast = PyUnicode_InternFromString("_fast");
  PyObject *recover = PyUnicode_InternFromString("_recover");

  static const Names &get() {
    static const Names names; // live as long as the process
    return names;
  }
};

/// A new reference to the instance's `_fast`; null without an error where it has none.
PyObject *fastOf(PyObject *self) {
  PyObject *dict = PyObject_GenericGetDict(self, nullptr);
  if (!dict) { // not an instance: the function says what is wrong
    PyErr_Clear();
    return nullptr;
  }
  PyObject *fast = PyDict_GetItemWithError(dict, Names::get().fast);
  Py_XINCREF(fast);
  Py_DECREF(dict);
  if (fast == Py_None)
    Py_CLEAR(fast);
  return fast;
}

/// 1, 0, or -1 with Python's error set.
int isOff(PyObject *unless) {
  bool isPlain = PyCFunction_CheckExact(unless) && PyCFunction_GET_FLAGS(unless) == METH_NOARGS;
  PyObject *answer = isPlain
                         ? PyCFunction_GET_FUNCTION(unless)(PyCFunction_GET_SELF(unless), nullptr)
                         : PyObject_CallNoArgs(unless);
  if (!answer)
    return -1;
  int truth = PyObject_IsTrue(answer);
  Py_DECREF(answer);
  return truth;
}

/// The fast way failed: the module's _recover(error, arguments) answers, or raises.
PyObject *recover(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {
  if (!PyErr_ExceptionMatches(outdatedError()) && !PyErr_ExceptionMatches(PyExc_TypeError) &&
      !PyErr_ExceptionMatches(PyExc_ValueError))
    return nullptr;
  PyObject *type, *value, *trace;
  PyErr_Fetch(&type, &value, &trace);
  PyErr_NormalizeException(&type, &value, &trace);
  nb::object error = nb::steal(value), kind = nb::steal(type), from = nb::steal(trace);
  if (from.is_valid())
    PyException_SetTraceback(error.ptr(), from.ptr());
  nb::object given = nb::steal(PyTuple_New(count));
  if (!given.is_valid())
    return nullptr;
  for (Py_ssize_t i = 0; i < count; ++i)
    PyTuple_SET_ITEM(given.ptr(), i, Py_NewRef(arguments[i]));
  return PyObject_CallMethodObjArgs(self, Names::get().recover, error.ptr(), given.ptr(), nullptr);
}

PyObject *call(PyObject *callable, PyObject *const *arguments, size_t flags, PyObject *names) {
  auto *self = reinterpret_cast<FastCall *>(callable);
  Py_ssize_t count = PyVectorcall_NARGS(flags);
  bool named = names && PyTuple_GET_SIZE(names) != 0;
  PyObject *fast = count > 0 && !named ? fastOf(arguments[0]) : nullptr;
  if (!fast)
    return PyErr_Occurred() ? nullptr
                            : PyObject_Vectorcall(self->function, arguments, flags, names);
  PyObject *result = nullptr;
  int off = isOff(self->unless);
  if (off == 0) {
    result = PyObject_Vectorcall(fast, arguments + 1, size_t(count - 1), nullptr);
    if (!result)
      result = recover(arguments[0], arguments + 1, count - 1);
  } else if (off > 0) {
    result = PyObject_Vectorcall(self->function, arguments, flags, names);
  }
  Py_DECREF(fast);
  return result;
}

/// As a function does: bound to the instance it is looked up on.
PyObject *bind(PyObject *self, PyObject *instance, PyObject *) {
  return instance && instance != Py_None ? PyMethod_New(self, instance) : Py_NewRef(self);
}

int traverse(PyObject *object, visitproc visit, void *arg) {
  auto *self = reinterpret_cast<FastCall *>(object);
  Py_VISIT(Py_TYPE(object));
  Py_VISIT(self->function);
  Py_VISIT(self->unless);
  return 0;
}

int clear(PyObject *object) {
  Py_CLEAR(reinterpret_cast<FastCall *>(object)->function);
  Py_CLEAR(reinterpret_cast<FastCall *>(object)->unless);
  return 0;
}

void destroy(PyObject *object) {
  PyTypeObject *type = Py_TYPE(object);
  PyObject_GC_UnTrack(object);
  clear(object);
  type->tp_free(object);
  Py_DECREF(type);
}

PyMemberDef members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(FastCall, vectorcall), READONLY, nullptr},
    {"__wrapped__", T_OBJECT, offsetof(FastCall, function), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr}};

/// `__name__` and the like are the function's.
PyObject *fromFunction(PyObject *self, void *name) {
  return PyObject_GetAttrString(reinterpret_cast<FastCall *>(self)->function,
                                static_cast<const char *>(name));
}

char kName[] = "__name__", kQualname[] = "__qualname__", kDoc[] = "__doc__",
     kModule[] = "__module__";
PyGetSetDef properties[] = {{kName, fromFunction, nullptr, nullptr, kName},
                            {kQualname, fromFunction, nullptr, nullptr, kQualname},
                            {kDoc, fromFunction, nullptr, nullptr, kDoc},
                            {kModule, fromFunction, nullptr, nullptr, kModule},
                            {nullptr, nullptr, nullptr, nullptr, nullptr}};

/// Pickled and copied by name, as functions are.
PyObject *reduce(PyObject *self, PyObject *) { return fromFunction(self, kQualname); }

PyMethodDef methods[] = {{"__reduce__", reduce, METH_NOARGS, nullptr},
                         {nullptr, nullptr, 0, nullptr}};

PyType_Slot slots[] = {{Py_tp_dealloc, reinterpret_cast<void *>(destroy)},
                       {Py_tp_call, reinterpret_cast<void *>(PyVectorcall_Call)},
                       {Py_tp_descr_get, reinterpret_cast<void *>(bind)},
                       {Py_tp_traverse, reinterpret_cast<void *>(traverse)},
                       {Py_tp_clear, reinterpret_cast<void *>(clear)},
                       {Py_tp_members, members},
                       {Py_tp_methods, methods},
                       {Py_tp_getset, properties},
                       {0, nullptr}};

PyType_Spec spec = {"tessera._core.FastCall", sizeof(FastCall), 0,
                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL |
                        Py_TPFLAGS_METHOD_DESCRIPTOR,
                    slots};

nb::object fastCall(nb::object function, nb::object unless) {
  static PyObject *type = PyType_FromSpec(&spec); // lives as long as the process
  if (!type)
    throw nb::python_error();
  nb::object made = nb::steal(PyType_GenericAlloc(reinterpret_cast<PyTypeObject *>(type), 0));
  if (!made.is_valid())
    throw nb::python_error();
  auto *self = reinterpret_cast<FastCall *>(made.ptr());
  self->vectorcall = call;
  self->function = function.release().ptr();
  self->unless = unless.release().ptr();
  return made;
}

} // namespace

void tessera::bindings::init_fast_call(nb::module_ &m) {
  using namespace nb::literals;
  m.def("fast_call", &fastCall, "function"_a, "unless"_a,
        "The method `function`, but for instances with a `_fast`: that is called with arguments "
        "by position, unless `unless()`. When it raises OutdatedError, TypeError or ValueError, "
        "the instance's `_recover(error, arguments)` decides.");
}
