//===- TeamTest.cpp ----------------------------------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/Team.h"
#include "runtime/ParallelSection.h"

#include <gtest/gtest.h>

#include <memory>
#include <mutex>
#include <set>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

using namespace tessera::runtime;

namespace {

struct Attendance {
  std::mutex mutex;
  std::set<std::thread::id> threads;
  int entries = 0;
};

void attend(void *context) {
  auto &attendance = *static_cast<Attendance *>(context);
  std::lock_guard<std::mutex> guard(attendance.mutex);
  attendance.threads.insert(std::this_thread::get_id());
  ++attendance.entries;
}

/// Counts in buffers[0][unit] how often each unit ran, and checks the scratch is private.
int32_t countUnits(void *const *buffers, const int64_t *, void *scratch, int64_t begin,
                   int64_t end) {
  auto *counts = static_cast<int *>(buffers[0]);
  auto *mine = static_cast<volatile int64_t *>(scratch);
  *mine = begin;
  for (int64_t i = begin; i < end; ++i)
    ++counts[i];
  return *mine == begin ? TESSERA_OK : 99;
}

/// Needs the phase before to be over: buffers[0] is all `expected` when it begins.
int32_t checkAndCount(void *const *buffers, const int64_t *, void *, int64_t begin, int64_t end) {
  auto *before = static_cast<const int *>(buffers[0]);
  auto *counts = static_cast<int *>(buffers[1]);
  int64_t units = *static_cast<const int64_t *>(buffers[2]);
  for (int64_t i = 0; i < units; ++i)
    if (before[i] != 1)
      return 98;
  for (int64_t i = begin; i < end; ++i)
    ++counts[i];
  return TESSERA_OK;
}

struct Fixture {
  static constexpr int64_t kUnits = 1000;
  std::vector<std::vector<int>> counts;
  std::vector<std::vector<void *>> buffers;
  std::vector<KernelSpec> kernels;
  std::vector<Launch> launches;
  std::unique_ptr<PhaseState[]> phases;
  std::unique_ptr<PartState[]> parts;
  std::vector<std::byte> scratch;
  int64_t units = kUnits;
  SectionResources resources;

  Fixture(size_t count, int threads, int64_t grain)
      : counts(count, std::vector<int>(kUnits)), buffers(count), kernels(count),
        phases(new PhaseState[count]), parts(new PartState[count * size_t(partsFor(threads))]),
        scratch(size_t(threads) * 128) {
    for (size_t i = 0; i < count; ++i) {
      if (i)
        buffers[i].push_back(counts[i - 1].data());
      buffers[i].push_back(counts[i].data());
      buffers[i].push_back(&units);
      kernels[i].entry = i ? checkAndCount : countUnits;
      kernels[i].units = kUnits;
      kernels[i].grain = grain;
      launches.push_back(
          {&kernels[i], buffers[i].data(), uint32_t(i), chunkUnits(kernels[i], threads)});
    }
    resources.phases = phases.get();
    resources.parts = parts.get();
    resources.scratch = scratch.data();
    resources.scratchBytes = 128;
    resources.threads = threads;
  }
  void expectAllOnce() {
    for (const std::vector<int> &phase : counts)
      for (int count : phase)
        ASSERT_EQ(count, 1);
  }
};

} // namespace

TEST(Team, PoolRunsTheCallerAndOthers) {
  Attendance attendance;
  // Whether others come in time is up to the machine; over many rounds some do.
  for (int i = 0; i < 200 || (attendance.threads.size() < 2 && i < 100000); ++i)
    poolTeam().run(3, attend, &attendance);
  EXPECT_TRUE(attendance.threads.count(std::this_thread::get_id()));
  EXPECT_GE(attendance.threads.size(), 2u);
}

TEST(Team, PoolOfOneIsTheCaller) {
  Attendance attendance;
  poolTeam().run(1, attend, &attendance);
  EXPECT_EQ(attendance.entries, 1);
}

TEST(ParallelSection, EveryUnitRunsOnceAndPhasesAreOrdered) {
  for (int threads : {1, 2, 3, 8})
    for (int64_t grain : {1, 7, 64, 5000}) {
      Fixture fixture(12, threads, grain);
      LaunchFailure failure = runInParallel(fixture.launches, fixture.resources, poolTeam());
      EXPECT_EQ(failure.status, 0);
      fixture.expectAllOnce();
    }
}

TEST(ParallelSection, ThreadsFinishTogether) {
  auto chunk = [](int64_t units, int64_t grain, int threads) {
    KernelSpec kernel;
    kernel.units = units;
    kernel.grain = grain;
    return chunkUnits(kernel, threads);
  };
  EXPECT_EQ(chunk(8, 6, 2), 4);
  EXPECT_EQ(chunk(6, 2, 2), 3);
  EXPECT_EQ(chunk(12, 2, 2), 2);
  // Not more chunks than are worth it, however many threads there are.
  EXPECT_EQ(chunk(12, 8, 16), 6);
  EXPECT_EQ(chunk(12, 12, 16), 12);
  EXPECT_EQ(chunk(1000, 1, 2), 1);
  EXPECT_EQ(chunk(0, 1, 2), 1);
  for (int64_t units = 1; units < 200; ++units)
    for (int64_t grain = 1; grain <= units; ++grain) {
      int64_t size = chunk(units, grain, 2), chunks = (units + size - 1) / size;
      ASSERT_GE(3 * size, 2 * std::min(grain, (units + 1) / 2));
      // Nobody has much more than his half.
      ASSERT_LE((chunks + 1) / 2 * size, grain == units ? units : (units + 1) / 2 + units / 16 + 1);
    }
}

TEST(ParallelSection, SerialDoesTheSame) {
  Fixture fixture(5, 1, 3);
  EXPECT_EQ(runSerially(fixture.launches, fixture.resources).status, 0);
  fixture.expectAllOnce();
}

TEST(ParallelSection, ManyCallersAtOnce) {
  std::vector<std::thread> callers;
  for (int t = 0; t < 6; ++t)
    callers.emplace_back([] {
      for (int i = 0; i < 100; ++i) {
        Fixture fixture(4, 3, 10);
        ASSERT_EQ(runInParallel(fixture.launches, fixture.resources, poolTeam()).status, 0);
        fixture.expectAllOnce();
      }
    });
  for (std::thread &caller : callers)
    caller.join();
}

TEST(ParallelSection, MoreCallersThanSlots) {
  std::vector<std::thread> callers;
  for (int t = 0; t < 24; ++t)
    callers.emplace_back([] {
      for (int i = 0; i < 10; ++i) {
        Fixture fixture(2, 2, 10);
        ASSERT_EQ(runInParallel(fixture.launches, fixture.resources, poolTeam()).status, 0);
        fixture.expectAllOnce();
      }
    });
  for (std::thread &caller : callers)
    caller.join();
}

TEST(ParallelSection, FailuresNameTheLaunchAndEndTheSection) {
  for (bool serial : {true, false}) {
    Fixture fixture(6, 2, 10);
    fixture.kernels[3].entry = [](void *const *, const int64_t *, void *, int64_t, int64_t) {
      return int32_t(TESSERA_INDEX_OUT_OF_RANGE);
    };
    LaunchFailure failure = serial ? runSerially(fixture.launches, fixture.resources)
                                   : runInParallel(fixture.launches, fixture.resources, poolTeam());
    EXPECT_EQ(failure.status, TESSERA_INDEX_OUT_OF_RANGE);
    EXPECT_EQ(failure.instruction, 3u);
    EXPECT_EQ(fixture.counts[2][0], 1);
    EXPECT_EQ(fixture.counts[5][0], 0);
  }
}

TEST(ParallelSection, StopsWhenAsked) {
  for (bool serial : {true, false}) {
    Fixture fixture(4, 2, 10);
    int asked = 0;
    fixture.resources.interruptedContext = &asked;
    fixture.resources.interrupted = [](void *context) {
      return ++*static_cast<int *>(context) == 3;
    };
    LaunchFailure failure = serial ? runSerially(fixture.launches, fixture.resources)
                                   : runInParallel(fixture.launches, fixture.resources, poolTeam());
    EXPECT_EQ(failure.status, kInterrupted);
    EXPECT_EQ(fixture.counts[1][0], 1);
    EXPECT_EQ(fixture.counts[3][0], 0);
  }
}

TEST(ParallelSection, CountsNanoseconds) {
  Fixture fixture(3, 2, 10);
  std::vector<uint64_t> nanoseconds(3);
  fixture.resources.nanoseconds = nanoseconds.data();
  EXPECT_EQ(runInParallel(fixture.launches, fixture.resources, poolTeam()).status, 0);
  for (uint64_t spent : nanoseconds)
    EXPECT_GT(spent, 0u);
}

#if defined(__SANITIZE_THREAD__)
#define TESSERA_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TESSERA_TSAN 1
#endif
#endif

#ifndef TESSERA_TSAN
// ThreadSanitizer does not support threads started in the child of a threaded process.
TEST(Team, PoolWorksAfterFork) {
  Fixture warm(2, 3, 10);
  ASSERT_EQ(runInParallel(warm.launches, warm.resources, poolTeam()).status, 0);
  pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    alarm(30);
    for (int i = 0; i < 50; ++i) {
      Fixture fixture(4, 3, 10);
      if (runInParallel(fixture.launches, fixture.resources, currentTeam()).status)
        _exit(1);
      for (const std::vector<int> &phase : fixture.counts)
        for (int count : phase)
          if (count != 1)
            _exit(2);
    }
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}
#endif
