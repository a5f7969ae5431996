//===- Points.cpp - points of a search space, as text ----------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/tuning/Points.h"

#include "mlir/AsmParser/AsmParser.h"
#include "mlir/IR/Diagnostics.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace tessera;

static std::string print(Attribute attribute) {
  std::string text;
  llvm::raw_string_ostream(text) << attribute;
  return text;
}

Attribute tessera::parsePoint(MLIRContext *context, StringRef text, std::string &why) {
  why = "it is no attribute of the schedule level";
  ScopedDiagnosticHandler handler(context, [&](Diagnostic &diagnostic) { why = diagnostic.str(); });
  // A point is short; what is not is no point.
  constexpr size_t longest = 1000;
  if (text.size() > longest || !text.starts_with("#schedule."))
    return {};
  size_t read = 0;
  Attribute point = parseAttribute(text, context, Type(), &read);
  if (!point)
    return {};
  if (read != text.size()) {
    why = "something follows the attribute";
    return {};
  }
  why.clear();
  return point;
}

std::vector<std::pair<std::string, std::string>> tessera::parametersOf(Attribute point) {
  std::vector<std::pair<std::string, std::string>> result;
  std::string text = print(point);
  StringRef inside = StringRef(text).split('<').second;
  if (!inside.consume_back(">"))
    return result;
  // A value may be a list or an attribute: commas count outside of brackets only.
  int depth = 0;
  size_t begin = 0;
  auto add = [&](StringRef part) {
    auto [name, value] = part.split('=');
    if (!name.trim().empty() && !value.trim().empty())
      result.emplace_back(name.trim(), value.trim());
  };
  for (size_t i = 0; i < inside.size(); ++i) {
    depth += StringRef("<[({").contains(inside[i]);
    depth -= StringRef(">])}").contains(inside[i]);
    if (inside[i] == ',' && depth == 0) {
      add(inside.slice(begin, i));
      begin = i + 1;
    }
  }
  add(inside.substr(begin));
  return result;
}

/// The values of one entry of a space: of a dense array, or of an array of attributes.
static std::vector<std::string> valuesOf(Attribute list) {
  std::vector<std::string> values;
  if (auto numbers = dyn_cast<DenseI64ArrayAttr>(list)) {
    for (int64_t value : numbers.asArrayRef())
      values.push_back(std::to_string(value));
  } else if (auto flags = dyn_cast<DenseBoolArrayAttr>(list)) {
    for (bool value : flags.asArrayRef())
      values.push_back(value ? "true" : "false");
  } else if (auto mixed = dyn_cast<ArrayAttr>(list)) {
    for (Attribute value : mixed) {
      auto word = dyn_cast<StringAttr>(value);
      auto number = dyn_cast<IntegerAttr>(value);
      if (auto flag = dyn_cast<BoolAttr>(value))
        values.push_back(flag.getValue() ? "true" : "false");
      else
        values.push_back(word     ? word.getValue().str()
                         : number ? llvm::toString(number.getValue(), 10, /*Signed=*/true)
                                  : print(value));
    }
  }
  std::vector<std::string> distinct;
  for (std::string &value : values)
    if (!llvm::is_contained(distinct, value))
      distinct.push_back(std::move(value));
  return distinct;
}

std::vector<std::pair<std::string, std::vector<std::string>>>
tessera::spaceOf(schedule::KernelOp kernel) {
  std::vector<std::pair<std::string, std::vector<std::string>>> result;
  auto known = kernel.getPointAttr() ? parametersOf(kernel.getPointAttr())
                                     : std::vector<std::pair<std::string, std::string>>();
  if (DictionaryAttr space = kernel.getSpaceAttr())
    for (NamedAttribute entry : space) {
      std::string name = entry.getName().str();
      std::vector<std::string> values = valuesOf(entry.getValue());
      auto standard = llvm::find_if(known, [&](const auto &item) { return item.first == name; });
      // The default's own value is always there.
      if (standard != known.end() && !llvm::is_contained(values, standard->second))
        values.push_back(standard->second);
      result.emplace_back(std::move(name), std::move(values));
    }
  return result;
}

std::optional<std::string> tessera::whyIllegal(schedule::KernelOp kernel, Attribute point) {
  Attribute standard = kernel.getPointAttr();
  if (!standard || !kernel.getSpaceAttr())
    return "a kernel of class " + stringifyKernelKind(kernel.getKind()).str() +
           " has nothing to choose from";
  if (point == standard)
    return std::nullopt;
  if (&point.getAbstractAttribute() != &standard.getAbstractAttribute())
    return print(point) + " is no point of a kernel that has " + print(standard);
  auto space = spaceOf(kernel);
  auto known = parametersOf(standard);
  auto find = [](const auto &list, const std::string &name) {
    return llvm::find_if(list, [&](const auto &entry) { return entry.first == name; });
  };
  auto parameters = parametersOf(point);
  // Defaults of the attribute are not printed: what one side leaves out differs from the other's.
  for (const auto &[name, value] : known)
    if (find(parameters, name) == parameters.end() && find(space, name) == space.end())
      return name + " is left out; the kernel has " + value;
  for (const auto &[name, value] : parameters) {
    auto same = find(known, name);
    if (same != known.end() && same->second == value)
      continue;
    auto choices = find(space, name);
    if (choices == space.end())
      return name + " = " + value + " is not for a tuner to choose" +
             (same == known.end() ? "" : "; the kernel has " + same->second);
    if (!llvm::is_contained(choices->second, value))
      return name + " = " + value + " is not among " + llvm::join(choices->second, ", ");
  }
  return std::nullopt;
}

Attribute tessera::adaptPoint(schedule::KernelOp kernel, Attribute point) {
  Attribute standard = kernel.getPointAttr();
  if (!standard || &point.getAbstractAttribute() != &standard.getAbstractAttribute())
    return {};
  auto space = spaceOf(kernel);
  auto wanted = parametersOf(point);
  std::string text = StringRef(print(standard)).split('<').first.str();
  llvm::ListSeparator separator;
  llvm::raw_string_ostream os(text);
  os << '<';
  for (auto &[name, value] : parametersOf(standard)) {
    auto same = [&name = name](const auto &entry) { return entry.first == name; };
    auto choices = llvm::find_if(space, same);
    auto chosen = llvm::find_if(wanted, same);
    bool isLegal = choices != space.end() && chosen != wanted.end() &&
                   llvm::is_contained(choices->second, chosen->second);
    os << separator << name << " = " << (isLegal ? chosen->second : value);
  }
  os << '>';
  std::string why;
  Attribute adapted = parsePoint(kernel.getContext(), text, why);
  return adapted && !whyIllegal(kernel, adapted) ? adapted : Attribute();
}
