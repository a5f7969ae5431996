//===- HostProgram.cpp - @main becomes the host program --------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// From: @main with schedule.launch, schedule.view, graph.parameter,
// graph.constant and graph.island. To: target.program, in which every tensor is
// a view of a storage and every step an instruction of the runtime.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/TileToTarget/HostProgram.h"

#include "compiler/graph/ir/GraphOps.h"
#include "compiler/schedule/ir/ScheduleOps.h"
#include "compiler/support/Sizes.h"

#include "llvm/ADT/StringSet.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace tessera;

namespace {

class ProgramWriter {
public:
  ProgramWriter(func::FuncOp main, target::ProgramOp program)
      : main(main), b(OpBuilder::atBlockEnd(&program.getBody().front())),
        storageType(target::StorageType::get(program.getContext())) {}

  LogicalResult run();

private:
  /// Declares the memory of a root and the value that spans it.
  void declareRoot(Value root, Value storage);
  LogicalResult declare(Operation *op);
  LogicalResult declareLaunch(schedule::LaunchOp launch);
  void declareKernel(schedule::LaunchOp launch);
  void writeList(bool prepare);
  bool readByPrepare(Value root) const;
  /// The value behind `value`; views get theirs when first used.
  SmallVector<Value> lookup(ValueRange values) const;

  func::FuncOp main;
  OpBuilder b;
  Type storageType;
  DenseMap<Value, Value> storages, values;
  llvm::StringSet<> kernels;
};

} // namespace

void ProgramWriter::declareRoot(Value root, Value storage) {
  auto type = cast<RankedTensorType>(root.getType());
  storages[root] = storage;
  values[root] = target::ValueOp::create(b, root.getLoc(), type, storage, b.getI64IntegerAttr(0),
                                         b.getDenseI64ArrayAttr(rowMajorStrides(type.getShape())));
}

bool ProgramWriter::readByPrepare(Value root) const {
  return llvm::any_of(root.getUsers(), [&](Operation *user) {
    if (auto view = dyn_cast<schedule::ViewOp>(user))
      return readByPrepare(view.getResult());
    auto launch = dyn_cast<schedule::LaunchOp>(user);
    return launch && launch.getPrepare();
  });
}

LogicalResult ProgramWriter::declareLaunch(schedule::LaunchOp launch) {
  ArrayAttr placement = launch.getPlacementAttr();
  if (!placement)
    return launch.emitOpError(
        "[host-program] has no placements; run tessera-schedule-place before");
  for (auto [result, attr] : llvm::zip_equal(launch.getOutputs(), placement)) {
    auto place = cast<schedule::PlacementAttr>(attr);
    auto type = cast<RankedTensorType>(result.getType());
    target::StorageKind kind = target::StorageKind::Arena;
    switch (place.getKind()) {
    case schedule::PlacementKind::Arena:
      break;
    case schedule::PlacementKind::Output:
      kind = target::StorageKind::Output;
      break;
    case schedule::PlacementKind::Prepared:
      kind = target::StorageKind::Prepared;
      break;
    case schedule::PlacementKind::Heap:
      kind = target::StorageKind::Heap;
      break;
    }
    int64_t bytes = byteSize(type);
    declareRoot(result, target::StorageOp::create(b, launch.getLoc(), storageType, kind,
                                                  place.getOffset(), bytes));
  }
  return success();
}

LogicalResult ProgramWriter::declare(Operation *op) {
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](graph::ParameterOp parameter) {
        Value root = parameter.getResult();
        declareRoot(
            root, target::ParameterOp::create(b, op->getLoc(), storageType, parameter.getNameAttr(),
                                              TypeAttr::get(root.getType()),
                                              readByPrepare(root) ? b.getUnitAttr() : UnitAttr()));
        return success();
      })
      .Case([&](graph::ConstantOp constant) {
        declareRoot(constant.getResult(),
                    target::ConstantOp::create(b, op->getLoc(), storageType,
                                               cast<ElementsAttr>(constant.getValue())));
        return success();
      })
      .Case([&](schedule::LaunchOp launch) { return declareLaunch(launch); })
      .Case([&](graph::IslandOp island) {
        for (Value result : island->getResults()) {
          auto type = cast<RankedTensorType>(result.getType());
          declareRoot(result,
                      target::StorageOp::create(b, op->getLoc(), storageType,
                                                target::StorageKind::Island, 0, byteSize(type)));
        }
        return success();
      })
      .Case([&](schedule::ViewOp view) {
        auto type = cast<RankedTensorType>(view.getType());
        values[view] = target::ValueOp::create(
            b, op->getLoc(), type, storages.lookup(view.getSource()),
            b.getI64IntegerAttr(view.getOffset() * byteWidth(type.getElementType())),
            view.getStridesAttr());
        return success();
      })
      .Case([](func::ReturnOp) { return success(); })
      .Default([](Operation *other) {
        return other->emitOpError(
            "[host-program] has no place in the host program; expected launches, views, "
            "islands, parameters and constants");
      });
}

void ProgramWriter::declareKernel(schedule::LaunchOp launch) {
  if (!kernels.insert(launch.getCallee()).second)
    return;
  target::KernelOp::create(b, launch.getLoc(), launch.getCallee(), launch.getUnits(),
                           launch.getGrain(), launch.getScratch(), launch.getFlops(),
                           launch.getBytes());
}

SmallVector<Value> ProgramWriter::lookup(ValueRange range) const {
  return llvm::map_to_vector(range, [&](Value value) { return values.lookup(value); });
}

void ProgramWriter::writeList(bool prepare) {
  for (Operation &op : main.getBody().front()) {
    if (auto launch = dyn_cast<schedule::LaunchOp>(op)) {
      if (launch.getPrepare() == prepare)
        target::LaunchOp::create(b, op.getLoc(), launch.getCallee(), lookup(launch.getInputs()),
                                 lookup(launch.getOutputs()));
    } else if (auto island = dyn_cast<graph::IslandOp>(op); island && !prepare) {
      target::IslandOp::create(b, op.getLoc(), island.getId(), island.getReason(),
                               lookup(island.getInputs()), lookup(island->getResults()));
    }
  }
}

LogicalResult ProgramWriter::run() {
  for (BlockArgument argument : main.getArguments()) {
    auto name = main.getArgAttrOfType<StringAttr>(argument.getArgNumber(), "graph.name");
    std::string fallback = "input" + std::to_string(argument.getArgNumber());
    declareRoot(argument, target::InputOp::create(b, argument.getLoc(), storageType,
                                                  name ? name : b.getStringAttr(fallback),
                                                  TypeAttr::get(argument.getType())));
  }
  for (Operation &op : main.getBody().front())
    if (failed(declare(&op)))
      return failure();
  for (auto launch : main.getOps<schedule::LaunchOp>())
    declareKernel(launch);

  auto fill = [&](Region &region, bool prepare) {
    OpBuilder::InsertionGuard guard(b);
    Block &block = region.empty() ? region.emplaceBlock() : region.front();
    b.setInsertionPointToEnd(&block);
    writeList(prepare);
  };
  Location loc = main.getLoc();
  fill(target::PrepareOp::create(b, loc).getBody(), true);
  fill(target::MainOp::create(b, loc).getBody(), false);
  target::OutputsOp::create(b, loc, lookup(main.getBody().front().getTerminator()->getOperands()));
  return success();
}

FailureOr<target::ProgramOp> tessera::buildHostProgram(func::FuncOp main) {
  OpBuilder b(main);
  auto arena = main->getAttrOfType<IntegerAttr>("schedule.arena");
  auto program = target::ProgramOp::create(b, main.getLoc(), "program", arena ? arena.getInt() : 0);
  if (program.getBody().empty())
    program.getBody().emplaceBlock();
  if (failed(ProgramWriter(main, program).run())) {
    program.erase();
    return failure();
  }
  return program;
}
