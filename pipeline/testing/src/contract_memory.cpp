// What a call allocates, by allocation functions of the test program, which the C library lets a program
// replace: its own, those of the core and those of the plugin come here. Memory that a library maps by itself
// is not seen.

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>

#include "base/scratch_use.h"

#include "contract_rules.h"

// Sanitizers have allocators of their own; GCC and clang say in different ways that one is in use.
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define GRAFT_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define GRAFT_SANITIZED 1
#endif
#if defined(__GLIBC__) && !defined(GRAFT_SANITIZED)
#define GRAFT_COUNTS_ALLOCATIONS 1
#endif

namespace graft::testing {
namespace {

std::atomic<bool> g_counts{false};
std::atomic<std::int64_t> g_allocated{0}, g_most{0};

[[maybe_unused]] void note(std::int64_t bytes) noexcept {
  const std::int64_t now = g_allocated.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  std::int64_t most = g_most.load(std::memory_order_relaxed);
  while (now > most && !g_most.compare_exchange_weak(most, now, std::memory_order_relaxed)) {
  }
}

#ifdef GRAFT_COUNTS_ALLOCATIONS
constexpr bool kCounts = true;

void* counted(void* memory) noexcept {
  if (g_counts.load(std::memory_order_relaxed)) note(static_cast<std::int64_t>(::malloc_usable_size(memory)));
  return memory;
}
void uncount(void* memory) noexcept {
  if (g_counts.load(std::memory_order_relaxed))
    note(-static_cast<std::int64_t>(::malloc_usable_size(memory)));
}
#else
constexpr bool kCounts = false;
#endif

/// More than is there before `body`, at its worst moment, on all threads.
std::uint64_t peak_of(const std::function<void()>& body) {
  g_allocated = g_most = 0;
  g_counts = true;
  try {
    body();
  } catch (...) {
    g_counts = false;
    throw;
  }
  g_counts = false;
  return static_cast<std::uint64_t>(g_most.load());
}

}  // namespace

void check_memory(const StageHarness& stage, const char* function, std::uint64_t input,
                  const std::function<std::uint64_t()>& call, Violations& out) {
  const std::optional<WorkingMemory>& declared = stage.schema().memory_of_call;
  if (!declared || !kCounts) return;
  call();  // what is made once, by the first, does not count
  std::uint64_t output = 0;
  take_most_scratch();
  const std::uint64_t peak = peak_of([&] { output = call(); });
  const std::uint64_t used = peak - std::min(peak, output);
  const std::uint64_t most =
      declared->bytes +
      static_cast<std::uint64_t>(declared->per_payload_byte * static_cast<double>(input + output)) +
      take_most_scratch();
  if (used > most)
    out.add(std::string(function) + " allocates more than working_memory declares: wanted at most " +
            std::to_string(most) + " bytes beside its input and output, got " + std::to_string(used));
}

}  // namespace graft::testing

#ifdef GRAFT_COUNTS_ALLOCATIONS

extern "C" {

// The allocator of the C library, under the names that a program cannot replace.
// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming)
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
void __libc_free(void*);
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)

#define EXPORTED __attribute__((visibility("default")))

EXPORTED void* malloc(std::size_t size) noexcept {
  return graft::testing::counted(__libc_malloc(size));
}
EXPORTED void* calloc(std::size_t n, std::size_t size) noexcept {
  return graft::testing::counted(__libc_calloc(n, size));
}
EXPORTED void* realloc(void* memory, std::size_t size) noexcept {
  graft::testing::uncount(memory);
  return graft::testing::counted(__libc_realloc(memory, size));
}
EXPORTED void free(void* memory) noexcept {
  graft::testing::uncount(memory);
  __libc_free(memory);
}
EXPORTED void* memalign(std::size_t alignment, std::size_t size) noexcept {
  return graft::testing::counted(__libc_memalign(alignment, size));
}
EXPORTED void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept {
  return graft::testing::counted(__libc_memalign(alignment, size));
}
EXPORTED int posix_memalign(void** to, std::size_t alignment, std::size_t size) noexcept {
  if (alignment % sizeof(void*) != 0 || !std::has_single_bit(alignment)) return EINVAL;
  void* const memory = __libc_memalign(alignment, size);
  if (memory == nullptr) return ENOMEM;
  *to = graft::testing::counted(memory);
  return 0;
}

}  // extern "C"

#endif
