//===- ExecutableTest.cpp ----------------------------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "unittests/runtime/TestPrograms.h"

#include <gtest/gtest.h>

#include <thread>

using namespace tessera::runtime;
using namespace tessera::runtime::test;

namespace {

/// x + 1 + 1 through the arena.
std::shared_ptr<Program> addTwo(std::vector<int64_t> sizes, int64_t grain = 1 << 20,
                                double flops = 1) {
  ProgramBuilder b;
  int64_t units = f32(sizes).numElements();
  int32_t x = b.input("x", f32(sizes)), t = b.arena(f32(sizes));
  int32_t y = b.value(StorageSpec::Kind::Output, f32(sizes));
  int32_t k = b.kernel(addOne, units, grain, flops);
  b.launch(k, {x}, {t});
  b.launch(k, {t}, {y});
  return b.finish({y});
}

/// y = x + p, where p comes from parameter w (p = w + 1) through the prepare list.
std::shared_ptr<Program> preparedSum() {
  ProgramBuilder b;
  int32_t x = b.input("x", f32({4})), w = b.parameter("w", f32({4}), true);
  int32_t p = b.value(StorageSpec::Kind::Prepared, f32({4}));
  int32_t y = b.value(StorageSpec::Kind::Output, f32({4}));
  b.launch(b.kernel(addOne, 4, 4), {w}, {p}, /*prepare=*/true);
  b.launch(b.kernel(addBoth, 4, 4), {x, p}, {y});
  return b.finish({y});
}

} // namespace

TEST(Executable, RunsThroughTheArena) {
  Runner run(addTwo({2, 3}));
  std::vector<Tensor> out = run({filled({2, 3}, 5)});
  ASSERT_FALSE(run.status.failed()) << run.status.message();
  EXPECT_EQ(at(out[0], 0), 7);
  EXPECT_EQ(at(out[0], 5), 7);
  EXPECT_EQ(out[0].spec().sizes, (std::vector<int64_t>{2, 3}));
}

TEST(Executable, OutputsAreFreshAndRecycled) {
  Runner run(addTwo({64}));
  Tensor x = filled({64}, 0);
  std::vector<Tensor> first = run({x}), second = run({x});
  EXPECT_NE(first[0].data(), second[0].data());
  void *data = first[0].data();
  first.clear();
  EXPECT_EQ(run({x})[0].data(), data);
}

TEST(Executable, LargeArenasAreSharedBetweenPrograms) {
  std::vector<int64_t> sizes{1 << 20};
  Runner first(addTwo(sizes)), second(addTwo(sizes));
  Tensor x = filled(sizes, 1);
  trimStorageCache();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(at(first({x})[0], 5), 3);
    EXPECT_EQ(at(second({x})[0], 5), 3);
  }
  // One arena and one output, for both.
  EXPECT_LE(storageStats().cachedBytes, 2 * (4 << 20) + (64 << 10));
}

TEST(Executable, NothingLeaks) {
  Runner run(addTwo({64}));
  Tensor x = filled({64}, 0);
  (void)run({x});
  int64_t before = storageStats().live;
  for (int i = 0; i < 1000; ++i)
    (void)run({x});
  EXPECT_EQ(storageStats().live, before);
}

TEST(Executable, StridedInputsAreCopied) {
  Runner run(addTwo({2, 3}));
  std::vector<float> memory{1, 2, 3, 4, 5, 6};
  auto spec = std::make_shared<TensorSpec>(TensorSpec{DType::F32, {2, 3}, {1, 2}});
  Tensor transposed(Storage::foreign(memory.data(), 24, nullptr, nullptr), memory.data(), spec);
  std::vector<Tensor> out = run({transposed});
  ASSERT_FALSE(run.status.failed());
  EXPECT_EQ(at(out[0], 1), 3 + 2);
  EXPECT_EQ(at(out[0], 3), 2 + 2);
  EXPECT_EQ(run.executable->counters().inputCopies, 1);
}

TEST(Executable, InputErrorsNameTheInput) {
  Runner run(addTwo({2, 3}));
  (void)run({filled({2, 4}, 0)});
  ASSERT_TRUE(run.status.failed());
  EXPECT_EQ(run.status.kind(), ErrorKind::Value);
  EXPECT_EQ(run.status.message(),
            "[Net.forward] input 'x' has shape (2, 4), compiled for (2, 3); call "
            "ts.from_pytorch again with example inputs of this shape");
  (void)run({filled({2, 3, 1}, 0)});
  EXPECT_NE(run.status.message().find("(2, 3, 1)"), std::string::npos);
  (void)run({Tensor::empty(DType::F64, {2, 3})});
  EXPECT_EQ(run.status.kind(), ErrorKind::Type);
  EXPECT_NE(run.status.message().find("input 'x' has dtype float64, compiled for float32"),
            std::string::npos);
  (void)run({});
  EXPECT_EQ(run.status.message(), "[Net.forward] got 0 tensors, compiled for 1");
  EXPECT_EQ(at(run({filled({2, 3}, 1)})[0], 0), 3);
}

TEST(Executable, InputsWithoutMemoryAreRefused) {
  Runner run(addTwo({2, 3}));
  auto spec = std::make_shared<TensorSpec>(f32({2, 3}));
  (void)run({Tensor(Storage::foreign(nullptr, 0, nullptr, nullptr), nullptr, spec)});
  EXPECT_NE(run.status.message().find("input 'x' has no memory"), std::string::npos);
}

TEST(Executable, EmptyTensors) {
  Runner run(addTwo({0, 3}));
  auto spec = std::make_shared<TensorSpec>(f32({0, 3}));
  Tensor nothing(Storage::foreign(nullptr, 0, nullptr, nullptr), nullptr, spec);
  std::vector<Tensor> out = run({nothing});
  ASSERT_FALSE(run.status.failed()) << run.status.message();
  EXPECT_EQ(out[0].spec().sizes, (std::vector<int64_t>{0, 3}));
}

TEST(Executable, ParallelEqualsSerial) {
  std::vector<int64_t> sizes{100000};
  for (int threads : {1, 2, 4}) {
    Runner run(addTwo(sizes, 1000, 1e9), threads);
    std::vector<Tensor> out = run({filled(sizes, 3)});
    for (int64_t i = 0; i < sizes[0]; ++i)
      ASSERT_EQ(at(out[0], i), 5);
  }
}

TEST(Executable, ManyThreadsCallOne) {
  Runner run(addTwo({1000}, 50, 1e9), 2);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&run, t] {
      TestHost host;
      host.inputs = {filled({1000}, float(t))};
      for (int i = 0; i < 200; ++i) {
        std::vector<Tensor> out(1);
        ASSERT_FALSE(run.run(host, out).failed());
        ASSERT_EQ(at(out[0], 0), float(t + 2));
        ASSERT_EQ(at(out[0], 999), float(t + 2));
      }
    });
  for (std::thread &thread : threads)
    thread.join();
}

TEST(Executable, OutputsMayAliasInputsAndEachOther) {
  ProgramBuilder b;
  int32_t x = b.input("x", f32({2, 3}));
  int32_t row = b.view(x, 12, f32({3}));
  int32_t y = b.value(StorageSpec::Kind::Output, f32({6}));
  int32_t y2 = b.view(y, 8, f32({2}));
  b.launch(b.kernel(addOne, 6, 6), {x}, {y});
  Runner run(b.finish({x, row, y, y2}));
  EXPECT_EQ(run.executable->passedThrough(0), 0);
  EXPECT_EQ(run.executable->passedThrough(1), -1);
  Tensor input = tensorOf<float>(DType::F32, {2, 3}, {0, 1, 2, 3, 4, 5});
  std::vector<Tensor> out = run({input});
  ASSERT_FALSE(run.status.failed());
  EXPECT_FALSE(out[0].defined());
  EXPECT_EQ(out[1].data(), static_cast<float *>(input.data()) + 3);
  EXPECT_EQ(out[3].data(), static_cast<float *>(out[2].data()) + 2);
  EXPECT_EQ(at(out[3], 1), 4);
  // The view of the input lives on without the input.
  input = Tensor();
  run.host.inputs.clear();
  EXPECT_EQ(at(out[1], 2), 5);
}

TEST(Executable, PassedThroughStridedInputsAreReturnedContiguous) {
  ProgramBuilder b;
  int32_t x = b.input("x", f32({3}));
  Runner run(b.finish({x}));
  std::vector<float> memory{1, 0, 2, 0, 3};
  auto spec = std::make_shared<TensorSpec>(TensorSpec{DType::F32, {3}, {2}});
  std::vector<Tensor> out =
      run({Tensor(Storage::foreign(memory.data(), 20, nullptr, nullptr), memory.data(), spec)});
  ASSERT_TRUE(out[0].defined());
  EXPECT_EQ(at(out[0], 2), 3);
}

TEST(Executable, ConstantsCannotBeWrittenThroughOutputs) {
  ProgramBuilder b;
  int32_t c = b.constant<float>(f32({2}), {1, 2});
  Runner run(b.finish({c}));
  std::vector<Tensor> out = run({});
  static_cast<float *>(out[0].data())[0] = 100;
  EXPECT_EQ(at(run({})[0], 0), 1);
}

TEST(Executable, ReversedOutputsAreCopied) {
  ProgramBuilder b;
  int32_t x = b.input("x", f32({3})), y = b.value(StorageSpec::Kind::Output, f32({3}));
  int32_t reversed = b.view(y, 8, {DType::F32, {3}, {-1}});
  b.launch(b.kernel(addOne, 3, 3), {x}, {y});
  Runner run(b.finish({reversed}));
  std::vector<Tensor> out = run({tensorOf<float>(DType::F32, {3}, {0, 1, 2})});
  EXPECT_EQ(out[0].spec().strides, (std::vector<int64_t>{1}));
  EXPECT_EQ(at(out[0], 0), 3);
  EXPECT_EQ(at(out[0], 2), 1);
}

TEST(Executable, PrepareRunsOnceABinding) {
  Tensor weight = filled({4}, 10);
  Runner run(preparedSum(), 1, {weight});
  ASSERT_FALSE(run.status.failed()) << run.status.message();
  EXPECT_EQ(at(run({filled({4}, 1)})[0], 0), 12);
  EXPECT_EQ(at(run({filled({4}, 1)})[0], 0), 12);
  EXPECT_EQ(run.executable->counters().prepares, 1);
  static_cast<float *>(weight.data())[0] = 20;
  EXPECT_EQ(at(run({filled({4}, 1)})[0], 0), 12);
  ASSERT_FALSE(run.executable->bind({weight}, run.host, run.binding).failed());
  EXPECT_EQ(at(run({filled({4}, 1)})[0], 0), 22);
}

TEST(Executable, WhatOnlyPreparationsReadIsNotKept) {
  ProgramBuilder b;
  int32_t x = b.input("x", f32({4})), w = b.parameter("w", f32({4}), true);
  int32_t between = b.value(StorageSpec::Kind::Prepared, f32({4}));
  int32_t p = b.value(StorageSpec::Kind::Prepared, f32({4}));
  int32_t unused = b.value(StorageSpec::Kind::Prepared, f32({4}));
  int32_t y = b.value(StorageSpec::Kind::Output, f32({4}));
  int32_t k = b.kernel(addOne, 4, 4);
  b.launch(k, {w}, {between}, /*prepare=*/true);
  b.launch(k, {between}, {p}, /*prepare=*/true);
  b.launch(k, {between}, {unused}, /*prepare=*/true);
  b.launch(b.kernel(addBoth, 4, 4), {x, p}, {y});
  Runner run(b.finish({y}), 1, {filled({4}, 10)});
  EXPECT_EQ(at(run({filled({4}, 1)})[0], 0), 13);
  EXPECT_EQ(run.binding->preparedBytes, 16);
  EXPECT_EQ(run.binding->owned.size(), 1u);
}

TEST(Executable, AnOldBindingGoesWithItsLastCaller) {
  Runner run(preparedSum(), 1, {filled({4}, 10)});
  EXPECT_EQ(at(run({filled({4}, 1)})[0], 0), 12);
  std::weak_ptr<const Binding> old = run.binding;
  ASSERT_FALSE(run.executable->bind({filled({4}, 20)}, run.host, run.binding).failed());
  // Contexts of finished calls are still around.
  EXPECT_TRUE(old.expired());
  EXPECT_EQ(at(run({filled({4}, 1)})[0], 0), 22);
}

TEST(Executable, ParametersAreReadInPlaceAndChecked) {
  ProgramBuilder b;
  int32_t x = b.input("x", f32({2})), w = b.parameter("layer.weight", f32({2}));
  int32_t y = b.value(StorageSpec::Kind::Output, f32({2}));
  b.launch(b.kernel(addBoth, 2, 2), {x, w}, {y});
  std::shared_ptr<Program> program = b.finish({y, w});
  Tensor weight = filled({2}, 5);
  Runner run(program, 1, {weight});
  std::vector<Tensor> out = run({filled({2}, 1)});
  EXPECT_EQ(out[1].data(), weight.data());
  static_cast<float *>(weight.data())[0] = 7;
  EXPECT_EQ(at(run({filled({2}, 1)})[0], 0), 8);

  Runner wrongShape(program, 1, {filled({3}, 5)});
  EXPECT_NE(wrongShape.status.message().find("parameter 'layer.weight' has shape (3,)"),
            std::string::npos);
  Runner wrongType(program, 1, {Tensor::empty(DType::F64, {2})});
  EXPECT_EQ(wrongType.status.kind(), ErrorKind::Type);
  Runner none(program);
  EXPECT_EQ(none.status.message(), "[Net.forward] got 0 parameters, compiled for 1");
}

TEST(Executable, StridedParametersAreCopied) {
  std::vector<float> memory{1, 0, 2, 0, 3, 0, 4};
  auto spec = std::make_shared<TensorSpec>(TensorSpec{DType::F32, {4}, {2}});
  Tensor weight(Storage::foreign(memory.data(), 28, nullptr, nullptr), memory.data(), spec);
  Runner run(preparedSum(), 1, {weight});
  EXPECT_EQ(at(run({filled({4}, 1)})[0], 3), 6);
  EXPECT_TRUE(run.executable->copiesParameter(weight.view(), 0));
}

TEST(Executable, KernelFailuresNameTheCode) {
  ProgramBuilder b;
  int32_t x = b.input("x", f32({2}));
  int32_t y = b.value(StorageSpec::Kind::Output, f32({2}));
  b.launch(b.kernel(
               [](void *const *buffers, const int64_t *, void *, int64_t, int64_t) -> int32_t {
                 float first = *static_cast<const float *>(buffers[0]);
                 return first < 0 ? TESSERA_INDEX_OUT_OF_RANGE : first > 9 ? 77 : TESSERA_OK;
               },
               2, 2),
           {x}, {y});
  Runner run(b.finish({y}));
  (void)run({filled({2}, -1)});
  EXPECT_EQ(run.status.kind(), ErrorKind::Index);
  EXPECT_EQ(run.status.message(), "[net.layer] index out of range: an index lies outside the "
                                  "dimension it selects from (model.py:12)");
  (void)run({filled({2}, 10)});
  EXPECT_NE(run.status.message().find("kernel k0 failed with status 77"), std::string::npos);
  (void)run({filled({2}, 1)});
  EXPECT_FALSE(run.status.failed());
}

TEST(Executable, LongProgramsCanBeStopped) {
  ProgramBuilder b;
  int32_t x = b.input("x", f32({1})), y = b.value(StorageSpec::Kind::Output, f32({1}));
  int32_t nap = b.kernel(
      [](void *const *, const int64_t *, void *, int64_t, int64_t) -> int32_t {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
        return TESSERA_OK;
      },
      1, 1, 1e12);
  for (int i = 0; i < 1000; ++i)
    b.launch(nap, {x}, {y});
  Runner slow(b.finish({y}));
  slow.host.stop = true;
  (void)slow({filled({1}, 0)});
  EXPECT_EQ(slow.status.kind(), ErrorKind::Interrupted);
}

TEST(Executable, ProfilesByInstruction) {
  Runner run(addTwo({1000}));
  run.host.inputs = {filled({1000}, 0)};
  TensorView view = run.host.inputs[0].view();
  std::vector<uint64_t> nanoseconds(2);
  std::vector<Tensor> out(1);
  ASSERT_FALSE(
      run.executable->run(run.binding, {&view, 1}, run.host, out, nanoseconds.data()).failed());
  EXPECT_GT(nanoseconds[0], 0u);
  EXPECT_GT(nanoseconds[1], 0u);
}

TEST(Executable, MalformedProgramsAreRefused) {
  auto message = [](auto bend) {
    std::shared_ptr<Program> program = addTwo({2});
    bend(*program);
    return Runner(program).status.message();
  };
  EXPECT_NE(message([](Program &p) { p.kernels[0].entry = nullptr; }).find("has no code"),
            std::string::npos);
  EXPECT_NE(message([](Program &p) { p.outputs[0] = 50; }).find("names value 50"),
            std::string::npos);
  EXPECT_NE(message([](Program &p) { p.arenaBytes = 0; }).find("outside the arena"),
            std::string::npos);
  EXPECT_NE(message([](Program &p) { p.main[0].target = 9; }).find("names kernel 9"),
            std::string::npos);
}

//===----------------------------------------------------------------------===//
// Shared between programs of one model
//===----------------------------------------------------------------------===//

namespace {

Status bindWith(Runner &run, Tensor weight, std::vector<int64_t> writes) {
  return run.executable->bind({std::move(weight)}, run.host, run.binding, writes);
}

Runner pooled(const std::shared_ptr<PreparedPool> &pool) {
  Runner run(preparedSum());
  run.status = Executable::create(preparedSum(), {"Net.forward", 1, pool}, run.executable);
  return run;
}

/// out[i] = in[i] + the first symbol.
int32_t addSymbol(void *const *buffers, const int64_t *symbols, void *, int64_t begin,
                  int64_t end) {
  auto *in = static_cast<const float *>(buffers[0]);
  auto *out = static_cast<float *>(buffers[1]);
  for (int64_t i = begin; i < end; ++i)
    out[i] = in[i] + float(symbols[0]);
  return TESSERA_OK;
}

} // namespace

TEST(Executable, ProgramsTakePreparedWeightsFromOneAnother) {
  auto pool = std::make_shared<PreparedPool>();
  Runner first = pooled(pool), second = pooled(pool);
  Tensor weight = filled({4}, 10);
  ASSERT_FALSE(bindWith(first, weight, {1}).failed());
  ASSERT_FALSE(bindWith(second, weight, {1}).failed());
  EXPECT_EQ(first.executable->counters().prepares, 1);
  EXPECT_EQ(second.executable->counters().prepares, 0);
  EXPECT_EQ(at(second({filled({4}, 1)})[0], 0), 12);

  // Another value, another tensor, and values nobody can tell apart are prepared anew.
  static_cast<float *>(weight.data())[0] = 20;
  ASSERT_FALSE(bindWith(second, weight, {2}).failed());
  EXPECT_EQ(at(second({filled({4}, 1)})[0], 0), 22);
  EXPECT_EQ(at(first({filled({4}, 1)})[0], 0), 12);
  ASSERT_FALSE(bindWith(first, filled({4}, 30), {2}).failed());
  EXPECT_EQ(at(first({filled({4}, 1)})[0], 0), 32);
  ASSERT_FALSE(bindWith(first, weight, {}).failed());
  EXPECT_EQ(at(first({filled({4}, 1)})[0], 0), 22);
  EXPECT_EQ(first.executable->counters().prepares, 3);

  pool->clear();
  ASSERT_FALSE(bindWith(second, weight, {2}).failed());
  EXPECT_EQ(second.executable->counters().prepares, 2);
}

TEST(Executable, PreparedWeightsLieInTheOrderInWhichTheyAreRead) {
  ProgramBuilder b;
  int32_t x = b.input("x", f32({4})), w = b.parameter("w", f32({4}), true);
  int32_t later = b.value(StorageSpec::Kind::Prepared, f32({40}));
  int32_t sooner = b.value(StorageSpec::Kind::Prepared, f32({4}));
  int32_t t = b.arena(f32({4})), y = b.value(StorageSpec::Kind::Output, f32({4}));
  int32_t k = b.kernel(addOne, 4, 4), both = b.kernel(addBoth, 4, 4);
  b.launch(k, {w}, {later}, /*prepare=*/true);
  b.launch(k, {w}, {sooner}, /*prepare=*/true);
  b.launch(both, {x, sooner}, {t});
  b.launch(both, {t, later}, {y});
  std::shared_ptr<Program> program = b.finish({y});
  Runner run(program);
  ASSERT_FALSE(bindWith(run, filled({4}, 10), {}).failed());
  auto base = [&](int32_t value) {
    return static_cast<std::byte *>(
        run.binding->bases[size_t(program->values[size_t(value)].storage)]);
  };
  EXPECT_EQ(base(later) - base(sooner), 64);
  EXPECT_EQ(at(run({filled({4}, 1)})[0], 0), 23);
}

namespace {
/// The description of the only prepared storage.
std::string describePrepared(const Program &program) {
  std::vector<Preparation> all = describePreparations(program);
  for (size_t i = 0; i < all.size(); ++i)
    if (program.storages[i].kind == StorageSpec::Kind::Prepared)
      return all[i].text;
  return "";
}
} // namespace

TEST(Executable, PreparedTheSameIsToldByEverythingThatCounts) {
  std::string plain = describePrepared(*preparedSum());
  EXPECT_FALSE(plain.empty());
  EXPECT_EQ(plain, describePrepared(*preparedSum()));
  auto other = preparedSum();
  other->kernels[0].name += "2";
  EXPECT_NE(plain, describePrepared(*other));
  other = preparedSum();
  other->parameters[0].name = "v";
  EXPECT_NE(plain, describePrepared(*other));
  other = preparedSum();
  for (ValueSpec &value : other->values)
    value.type.strides[0] = 2;
  EXPECT_NE(plain, describePrepared(*other));
  // Two writers of one storage are more than a description tells.
  other = preparedSum();
  other->prepare.push_back(other->prepare.front());
  EXPECT_EQ(describePrepared(*other), "");
}

TEST(Executable, KernelsReadTheirSymbols) {
  ProgramBuilder b;
  int32_t x = b.input("x", f32({4})), y = b.value(StorageSpec::Kind::Output, f32({4}));
  b.launch(b.kernel(addSymbol, 4, 4), {x}, {y});
  std::shared_ptr<Program> program = b.finish({y});
  program->kernels[0].symbols = {5};
  Runner run(program);
  EXPECT_EQ(at(run({filled({4}, 1)})[0], 3), 6);
}
