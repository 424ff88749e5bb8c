// The rules for stages that items flow through, and for sources.

#include <malloc.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <numeric>
#include <optional>
#include <set>

#include <graft/random.h>

#include "contract_rules.h"

namespace graft::testing {
namespace {

constexpr int kManyThreads = 8;
constexpr std::uint64_t kSeed = 20;

/// What a stage makes of an item: a payload, or the text of what it throws.
struct Answer {
  Payload payload;
  std::string refusal;
  friend bool operator==(const Answer& a, const Answer& b) {
    return a.refusal == b.refusal && same_payload(a.payload, b.payload);
  }
};

/// The owner of the memory behind a payload, which a stage may not keep.
std::weak_ptr<const void> owner_of(const Payload& payload) {
  if (const auto* bytes = std::get_if<Bytes>(&payload)) return bytes->owner;
  if (const auto* image = std::get_if<Image>(&payload)) return image->owner;
  if (const auto* tensor = std::get_if<Tensor>(&payload)) return tensor->owner;
  return {};
}

Payload copy_of(const Payload& payload) {
  if (const auto* bytes = std::get_if<Bytes>(&payload))
    return StageHarness::bytes({reinterpret_cast<const char*>(bytes->data), bytes->size});
  if (const auto* image = std::get_if<Image>(&payload)) {
    Image out = Image::allocate(image->width, image->height);
    for (int y = 0; y < image->height; ++y)
      std::memcpy(out.row(y), image->row(y), 3 * static_cast<std::size_t>(image->width));
    return out;
  }
  if (const auto* tensor = std::get_if<Tensor>(&payload)) {
    Tensor out = Tensor::allocate(tensor->dtype, tensor->shape);
    std::memcpy(out.data, tensor->data, tensor->bytes());
    return out;
  }
  return payload;
}

std::string key_of(std::size_t item) {
  return "item" + std::to_string(item);
}

Answer answer_of(const std::function<Payload()>& call) {
  try {
    return {call(), {}};
  } catch (const std::exception& e) {
    return {{}, std::string("throws ") + e.what()};
  } catch (...) {
    return {{}, "throws something that is not an exception"};
  }
}

Answer applied(StageHarness& stage, const Payload& in, std::size_t item, std::uint32_t view) {
  return answer_of([&] { return stage.apply(in, key_of(item), view); });
}

std::vector<std::uint32_t> numbers(std::uint32_t n) {
  std::vector<std::uint32_t> out(n);
  std::iota(out.begin(), out.end(), 0U);
  return out;
}

std::vector<StageHarness::Outcome> batch_of(StageHarness& stage, const std::vector<Payload>& items,
                                            std::size_t first, std::size_t count) {
  return stage.apply_batch({items.begin() + static_cast<std::ptrdiff_t>(first),
                            items.begin() + static_cast<std::ptrdiff_t>(first + count)});
}

bool same_outcome(const StageHarness::Outcome& a, const StageHarness::Outcome& b) {
  return a.reject_code == b.reject_code && a.ports.size() == b.ports.size() &&
         std::equal(a.ports.begin(), a.ports.end(), b.ports.begin(), [](const auto& x, const auto& y) {
           return x.first == y.first && same_payload(x.second, y.second);
         });
}

/// Kernels may add in another order at another place of a batch: equal up to rounding.
bool close_outcome(const StageHarness::Outcome& a, const StageHarness::Outcome& b) {
  if (same_outcome(a, b)) return true;
  const auto *x = std::get_if<Tensor>(&a.payload), *y = std::get_if<Tensor>(&b.payload);
  if (x == nullptr || y == nullptr || x->dtype != DType::F32 || y->dtype != DType::F32 ||
      x->shape != y->shape)
    return false;
  float largest = 1, difference = 0;
  for (std::int64_t i = 0; i < x->size(); ++i) {
    largest = std::max(largest, std::abs(x->as<float>()[i]));
    difference = std::max(difference, std::abs(x->as<float>()[i] - y->as<float>()[i]));
  }
  return difference <= 1e-4F * largest;
}

struct Row {
  Collector::RowFormat format;
  std::vector<std::uint8_t> bytes;
  friend bool operator==(const Row&, const Row&) = default;
};

/// Encodes into memory that is filled with `before`, between two guards.
std::optional<Row> encoded(Collector& stage, const Item& item, std::uint8_t before, Violations& out) {
  constexpr std::size_t kGuard = 64;
  Row row{stage.format(item), {}};
  const auto size = static_cast<std::size_t>(elements(row.format.shape)) * size_of(row.format.dtype);
  std::vector<std::uint8_t> memory(size + 2 * kGuard, before);
  stage.encode(item, std::span(memory).subspan(kGuard, size));
  const auto guarded = [&](auto first) {
    return std::all_of(first, first + kGuard, [&](std::uint8_t b) { return b == before; });
  };
  if (!guarded(memory.begin()) || !guarded(memory.end() - kGuard)) {
    out.add("encode writes outside of its row");
    return {};
  }
  row.bytes.assign(memory.begin() + kGuard, memory.end() - kGuard);
  return row;
}

Item item_of(const Payload& payload, std::size_t i) {
  auto entry = std::make_shared<Entry>();
  entry->key = key_of(i);
  return {std::move(entry), 0, payload};
}

bool same_entry(const Entry& a, const Entry& b) {
  return a.key == b.key && a.split == b.split && a.labels == b.labels && a.negative == b.negative;
}

}  // namespace

bool same_payload(const Payload& a, const Payload& b) {
  if (a.index() != b.index()) return false;
  if (const auto* x = std::get_if<FileRef>(&a)) return x->path == std::get<FileRef>(b).path;
  if (const auto* x = std::get_if<Bytes>(&a)) {
    const auto& y = std::get<Bytes>(b);
    return x->size == y.size && (x->size == 0 || std::memcmp(x->data, y.data, x->size) == 0);
  }
  if (const auto* x = std::get_if<Tensor>(&a)) {
    const auto& y = std::get<Tensor>(b);
    return x->dtype == y.dtype && x->shape == y.shape && std::memcmp(x->data, y.data, x->bytes()) == 0;
  }
  if (const auto* x = std::get_if<Image>(&a)) {
    const auto& y = std::get<Image>(b);
    if (x->width != y.width || x->height != y.height) return false;
    for (int row = 0; row < x->height; ++row)
      if (std::memcmp(x->row(row), y.row(row), 3 * static_cast<std::size_t>(x->width)) != 0) return false;
  }
  return true;
}

bool memory_grows(const StageHarness& stage, const std::function<void()>& round) {
  // More calls than freed pieces of one size that the allocator keeps for a thread, which count as used.
  constexpr int kWarmUp = 2, kRounds = 6, kCalls = 8;
  const std::size_t warnings = stage.warnings().size();
  std::size_t before = 0;
  for (int r = 0; r < kWarmUp + kRounds; ++r) {
    for (int call = 0; call < kCalls; ++call) round();
    if (stage.warnings().size() != warnings) return false;
    const struct mallinfo2 info = ::mallinfo2();
    const std::size_t now = info.uordblks + info.hblkhd;
    if (r >= kWarmUp && now <= before) return false;
    before = now;
  }
  return true;
}

std::vector<Payload> trial_items(const PluginSchema& schema) {
  constexpr std::size_t kItems = 6;
  std::vector<Payload> out;
  if (schema.inputs.empty()) return out;
  Random random(kSeed);
  for (std::size_t i = 0; i < kItems; ++i) {
    if (schema.inputs[0].type == PortType::Image) {
      Image image = Image::allocate(64, 64);
      for (std::size_t b = 0; b < image.bytes(); ++b)
        image.data[b] = static_cast<std::uint8_t>(random.below(256));
      out.emplace_back(image);
    } else if (schema.inputs[0].type == PortType::Tensor) {
      std::vector<float> values(16);
      for (float& v : values) v = static_cast<float>(random.normal());
      out.emplace_back(StageHarness::tensor({16}, values));
    } else {
      // A binary PPM: images for what decodes, bytes for all else.
      std::string ppm = "P6 16 12 255\n";
      for (int b = 0; b < 16 * 12 * 3; ++b) ppm += static_cast<char>(random.below(256));
      out.emplace_back(StageHarness::bytes(ppm));
    }
  }
  return out;
}

void check_source(const MakeStage& make, Violations& out) {
  out.attempt("listing", [&] {
    const auto one = make(1), two = make(kManyThreads);
    const std::vector<std::string> classes = one->as<Source>().classes();
    const std::optional<std::size_t> count = one->as<Source>().count();
    // A forward source has to be read while it lists.
    const bool forward = dynamic_cast<ForwardSource*>(&one->as<Source>()) != nullptr;
    std::vector<Entry> entries;
    std::vector<Answer> loaded;
    for (Entry e; one->as<Source>().next(e); e = Entry()) {
      entries.push_back(e);
      if (forward) loaded.push_back(answer_of([&] { return one->load(e); }));
    }
    if (entries.empty())
      return out.add("the source lists nothing: give check_contract parameters with input");
    if (count && *count != entries.size())
      out.add("count() is " + std::to_string(*count) + ", but next() gives " +
              std::to_string(entries.size()) + " entries");
    std::set<std::string> keys;
    for (const Entry& e : entries) {
      if (e.key.empty()) out.add("an entry has no key");
      if (!keys.insert(e.key).second) out.add("the key '" + e.key + "' occurs twice");
      for (const std::int32_t label : e.labels)
        if (label < 0 || static_cast<std::size_t>(label) >= classes.size())
          out.add("'" + e.key + "' has label " + std::to_string(label) + " of " +
                  std::to_string(classes.size()) + " classes");
    }
    std::vector<Entry> again;
    std::vector<Answer> read_again;
    for (Entry e; two->as<Source>().next(e); e = Entry()) {
      again.push_back(e);
      if (forward) read_again.push_back(answer_of([&] { return two->load(e); }));
    }
    if (!std::equal(entries.begin(), entries.end(), again.begin(), again.end(), same_entry))
      return out.add("a second instance lists other entries");
    if (!forward) {
      for (const Entry& e : entries) loaded.push_back(answer_of([&] { return one->load(e); }));
      read_again.resize(entries.size());
      Threads(kManyThreads).for_each(entries.size(), [&](std::size_t i) {
        const std::size_t back = entries.size() - 1 - i;
        read_again[back] = answer_of([&] { return two->load(again[back]); });
      });
    }
    if (loaded != read_again) out.add("load gives other payloads in another order or on 8 threads");
    const auto taken =
        std::find_if(loaded.begin(), loaded.end(), [](const Answer& a) { return a.refusal.empty(); });
    if (!forward && taken != loaded.end())
      check_memory(
          *one, "load", 0,
          [&] {
            return bytes_of(
                one->as<Source>().load(entries[static_cast<std::size_t>(taken - loaded.begin())]));
          },
          out);
    if (!forward && memory_grows(*one, [&] { answer_of([&] { return one->load(entries[0]); }); }))
      out.add("load holds more memory after every call");
  });
}

void check_transform(const MakeStage& make, const ContractTrial& trial, Violations& out) {
  out.attempt("apply", [&] {
    const std::vector<Payload>& items = trial.items;
    const auto one = make(1), many = make(kManyThreads);
    const std::uint32_t views = one->as<Transform>().views();
    if (views == 0) return out.add("views() is 0");
    std::vector<Answer> first;
    for (std::size_t i = 0; i < items.size(); ++i) {
      const Payload before = copy_of(items[i]);
      for (const std::uint32_t view : numbers(views)) first.push_back(applied(*one, items[i], i, view));
      if (!same_payload(before, items[i])) out.add("apply changes its input");
    }
    if (std::all_of(first.begin(), first.end(), [](const Answer& a) { return !a.refusal.empty(); }))
      return out.add("apply refuses every item of the trial (" + first[0].refusal +
                     "): give check_contract items that it takes");
    for (std::size_t i = items.size(); i-- > 0;)
      for (const std::uint32_t view : numbers(views))
        if (applied(*one, items[i], i, view) != first[i * views + view])
          return out.add("apply gives another result for the same item in a second call");
    std::vector<Answer> parallel(first.size());
    Threads(kManyThreads).for_each(first.size(), [&](std::size_t n) {
      const std::size_t i = n / views;
      parallel[n] = applied(*many, items[i], i, static_cast<std::uint32_t>(n % views));
    });
    if (parallel != first) out.add("apply gives other results in another instance on 8 threads");
    Payload in = copy_of(items[0]);
    const std::weak_ptr<const void> owner = owner_of(in);
    applied(*one, in, 0, 0);
    in = Payload();
    if (owner.use_count() > 0) return out.add("apply keeps its input after the call");
    const auto round = [&] {
      for (std::size_t i = 0; i < items.size(); ++i) applied(*one, items[i], i, 0);
    };
    const auto taken =
        std::find_if(first.begin(), first.end(), [](const Answer& a) { return a.refusal.empty(); });
    const Item item = item_of(items[static_cast<std::size_t>(taken - first.begin()) / views], 0);
    check_memory(
        *one, "apply", bytes_of(item.payload), [&] { return bytes_of(one->as<Transform>().apply(item)); },
        out);
    if (memory_grows(*one, round)) out.add("apply holds more memory after every call");
  });
}

void check_batch_transform(const MakeStage& make, const ContractTrial& trial, Violations& out) {
  out.attempt("apply", [&] {
    const std::vector<Payload>& items = trial.items;
    const auto one = make(1), many = make(kManyThreads);
    const std::size_t size = one->as<BatchTransform>().batch_size();
    if (size == 0) return out.add("batch_size() is 0");
    const std::size_t count = std::min(size, items.size());
    const std::vector<StageHarness::Outcome> first = batch_of(*one, items, 0, count);
    for (const StageHarness::Outcome& answer : first)
      if (answer.ports.empty() && answer.reject_code.empty())
        return out.add("apply has neither a result nor a reject for some item");
    for (std::size_t i = 0; i < count; ++i)
      if (!close_outcome(batch_of(*one, items, i, 1).at(0), first[i]))
        return out.add("an item alone in a batch gives another result than beside others");
    std::vector<std::vector<StageHarness::Outcome>> parallel(kManyThreads);
    Threads(kManyThreads).for_each(parallel.size(), [&](std::size_t t) {
      parallel[t] = batch_of(*many, items, 0, count);
    });
    for (const auto& answers : parallel)
      if (!std::equal(answers.begin(), answers.end(), first.begin(), first.end(), same_outcome))
        return out.add("apply gives other results in another instance on 8 threads");
    std::vector<Payload> in{copy_of(items[0])};
    const std::weak_ptr<const void> owner = owner_of(in[0]);
    one->apply_batch(std::move(in));
    if (owner.use_count() > 0) return out.add("apply keeps its input after the call");
    std::uint64_t taken = 0;
    for (std::size_t i = 0; i < count; ++i) taken += bytes_of(items[i]);
    const auto given = [&] {
      std::uint64_t bytes = 0;
      for (const StageHarness::Outcome& outcome : batch_of(*one, items, 0, count))
        for (const auto& [port, payload] : outcome.ports) bytes += bytes_of(payload);
      return bytes;
    };
    check_memory(*one, "apply", taken, given, out);
    if (memory_grows(*one, [&] { batch_of(*one, items, 0, count); }))
      out.add("apply holds more memory after every call");
  });
}

void check_collector(const MakeStage& make, const ContractTrial& trial, Violations& out) {
  out.attempt("format and encode", [&] {
    const auto one = make(1), many = make(kManyThreads);
    std::vector<Row> rows;
    for (std::size_t i = 0; i < trial.items.size(); ++i) {
      const Item item = item_of(trial.items[i], i);
      const auto zeros = encoded(one->as<Collector>(), item, 0x00, out);
      if (!zeros) return;
      const auto ones = encoded(one->as<Collector>(), item, 0xff, out);
      if (!ones) return;
      if (*zeros != *ones)
        return out.add("encode leaves bytes of its row as they were, or differs from call to call");
      rows.push_back(*zeros);
    }
    std::vector<std::optional<Row>> parallel(rows.size());
    Threads(kManyThreads).for_each(rows.size(), [&](std::size_t i) {
      Violations ignored;
      parallel[i] = encoded(many->as<Collector>(), item_of(trial.items[i], i), 0x00, ignored);
    });
    if (!std::equal(rows.begin(), rows.end(), parallel.begin(), parallel.end()))
      out.add("encode gives other rows in another instance on 8 threads");
    Payload in = copy_of(trial.items.at(0));
    const std::weak_ptr<const void> owner = owner_of(in);
    one->collect(std::move(in));
    if (owner.use_count() > 0) return out.add("encode keeps its input after the call");
    const Item item = item_of(trial.items[0], 0);
    std::vector<std::uint8_t> row(rows[0].bytes.size());
    const auto encode = [&] {
      one->as<Collector>().encode(item, row);
      return std::uint64_t{0};  // the row was there before
    };
    check_memory(*one, "encode", bytes_of(item.payload) + row.size(), encode, out);
    if (memory_grows(*one, [&] { one->collect(trial.items[0]); }))
      out.add("encode holds more memory after every call");
  });
}

}  // namespace graft::testing
