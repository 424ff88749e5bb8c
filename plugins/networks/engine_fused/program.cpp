#include "program.h"

#include <algorithm>
#include <cfenv>
#include <new>
#include <unordered_map>
#include <utility>

#include <graft/resources.h>

#include "builder.h"
#include "thread_count.h"

namespace graft::fused {
namespace {

constexpr std::size_t kAlignment = 64;

std::size_t rounded(std::size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

struct FreeAligned {
  void operator()(std::byte* p) const { ::operator delete[](p, std::align_val_t{kAlignment}); }
};
using Buffer = std::unique_ptr<std::byte[], FreeAligned>;

Buffer allocate(std::size_t bytes) {
  return Buffer(static_cast<std::byte*>(::operator new[](bytes, std::align_val_t{kAlignment})));
}

/// The processor remembers invalid instructions, each thread for itself, at no cost.
void forget_invalid(int threads) {
#pragma omp parallel num_threads(threads)
  std::feclearexcept(FE_INVALID);
}
bool was_invalid(int threads) {
  int any = 0;
#pragma omp parallel num_threads(threads) reduction(| : any)
  any |= std::fetestexcept(FE_INVALID);
  return any != 0;
}

}  // namespace

bool has_avx512() {
  // A set of bits: newer processors without AVX-512 have a larger number.
  const auto have = static_cast<unsigned>(dnnl::get_effective_cpu_isa());
  const auto wanted = static_cast<unsigned>(dnnl::cpu_isa::avx512_core);
  return (have & wanted) == wanted;
}

PackedNetwork::PackedNetwork(nn::Architecture architecture, Lowered lowered, bool bf16)
    : architecture_(std::move(architecture)),
      lowered_(std::move(lowered)),
      bf16_(bf16),
      packed_(lowered_.steps.size()) {}

dnnl::memory PackedNetwork::weights(std::size_t step, const dnnl::memory::desc& plain,
                                    const dnnl::memory::desc& wanted) {
  const std::lock_guard lock(mutex_);
  SharedValues& values = lowered_.steps[step].weights;
  Packed& packed = packed_[step];
  for (const dnnl::memory& known : packed.forms)
    if (known.get_desc() == wanted) return known;
  static const int kAll = usable_processors();
  const ThreadCount all(kAll);  // whoever comes for the same kernels waits for them
  dnnl::stream stream(engine_);
  const auto bring = [&](dnnl::memory from, dnnl::memory to) {
    dnnl::reorder(from, to).execute(stream, from, to);
    stream.wait();
  };
  // Unpacking a blocked form gives the original values (rounded to bf16 where that is the type), so that
  // packing them again gives the same bits. Winograd's form cannot be unpacked.
  dnnl::memory again;
  if (values.data() == nullptr) {
    const auto form = std::find_if(packed.forms.begin(), packed.forms.end(), [](const dnnl::memory& known) {
      return onednn::is_blocked(known.get_desc());
    });
    again = dnnl::memory(packed.plain, engine_);
    bring(*form, again);
  }
  dnnl::memory to(wanted, engine_);
  bring({plain, engine_, again ? again.get_data_handle() : const_cast<float*>(values.data())}, to);
  packed.forms.push_back(to);
  if (!again) packed.plain = plain;
  if (onednn::is_blocked(wanted)) values.release();
  return to;
}

dnnl::memory PackedNetwork::bias(std::size_t step) const {
  const std::vector<float>& values = lowered_.steps[step].bias;
  return {{{static_cast<dnnl::memory::dim>(values.size())},
           dnnl::memory::data_type::f32,
           dnnl::memory::format_tag::x},
          engine_,
          const_cast<float*>(values.data())};
}

/// What one call of run needs for itself: memory, and the arguments of every kernel that point into it.
struct Program::Workspace {
  Buffer arena, scratch;
  dnnl::stream stream;
  std::vector<dnnl::memory> slots;                               // parallel to Program::slots_
  std::vector<std::unordered_map<int, dnnl::memory>> arguments;  // parallel to Program::calls_
};

Program::Program(PackedNetwork& network, int images, int height, int width, int threads, Nan nan)
    : engine_(network.engine()), images_(images), threads_(threads) {
  const ThreadCount count(threads);  // kernels are made for a number of threads
  Builder(network, height, width, *this, nan).build();
  // The largest first, each at the lowest place that is free while it is alive.
  std::vector<Region*> placed, waiting;
  for (Region& region : regions_) waiting.push_back(&region);
  std::stable_sort(waiting.begin(), waiting.end(), [](auto* a, auto* b) { return a->bytes > b->bytes; });
  for (Region* region : waiting) {
    std::vector<const Region*> beside;
    for (const Region* other : placed)
      if (other->first <= region->last && region->first <= other->last) beside.push_back(other);
    std::sort(beside.begin(), beside.end(), [](auto* a, auto* b) { return a->offset < b->offset; });
    for (const Region* other : beside) {
      if (region->offset + rounded(region->bytes) <= other->offset) break;
      region->offset = std::max(region->offset, other->offset + rounded(other->bytes));
    }
    placed.push_back(region);
    arena_bytes_ = std::max(arena_bytes_, region->offset + rounded(region->bytes));
  }
}

Program::~Program() = default;

std::unique_ptr<Program::Workspace> Program::make_workspace() const {
  auto work = std::make_unique<Workspace>();
  work->arena = allocate(std::max<std::size_t>(arena_bytes_, 1));
  work->scratch = allocate(std::max<std::size_t>(scratch_bytes_, 1));
  work->stream = dnnl::stream(engine_);
  for (const Slot& slot : slots_) {
    void* const at =
        slot.place < 0 ? nullptr : work->arena.get() + regions_[static_cast<std::size_t>(slot.place)].offset;
    work->slots.emplace_back(slot.layout, engine_, at);
  }
  for (const Call& call : calls_) {
    std::unordered_map<int, dnnl::memory> arguments;
    for (const auto& [argument, slot] : call.slots) arguments.emplace(argument, work->slots[slot]);
    for (const auto& [argument, weights] : call.constants) arguments.emplace(argument, weights);
    arguments.emplace(DNNL_ARG_SCRATCHPAD, dnnl::memory(call.scratch, engine_, work->scratch.get()));
    work->arguments.push_back(std::move(arguments));
  }
  return work;
}

bool Program::run(const float* images, std::span<float* const> outputs) const {
  std::unique_ptr<Workspace> work;
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      work = std::move(idle_.back());
      idle_.pop_back();
    }
  }
  if (!work) work = make_workspace();
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].place == kInput) work->slots[i].set_data_handle(const_cast<float*>(images));
    if (slots_[i].place <= kOutput)
      work->slots[i].set_data_handle(outputs[static_cast<std::size_t>(kOutput - slots_[i].place)]);
  }
  const ThreadCount count(threads_);
  // Of more than two threads, some end when a kernel has work for fewer, and their memory with them.
  const bool ask_often = threads_ > 2;
  bool invalid = false;
  forget_invalid(threads_);
  for (std::size_t i = 0; i < calls_.size(); ++i) {
    if (calls_[i].plain) {
      work->stream.wait();
      calls_[i].plain(work->slots);
    } else {
      const ThreadCount own(calls_[i].one_thread ? 1 : threads_);
      calls_[i].kernel.execute(work->stream, work->arguments[i]);
    }
    if (ask_often) invalid = was_invalid(threads_) || invalid;
  }
  work->stream.wait();
  invalid = was_invalid(threads_) || invalid;
  const std::lock_guard lock(mutex_);
  idle_.push_back(std::move(work));
  return invalid;
}

}  // namespace graft::fused
