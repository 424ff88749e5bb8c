#include "store/slots.h"

#include <charconv>
#include <cstdlib>
#include <functional>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/hash.h>

namespace graft {
namespace {

/// Calls `visit` with the first and the last slot of every run of consecutive ones.
void for_each_range(const SlotSet& slots, const std::function<void(std::size_t, std::size_t)>& visit) {
  for (std::size_t first = slots._Find_first(); first < kSlots;) {
    std::size_t last = first;
    while (last + 1 < kSlots && slots[last + 1]) ++last;
    visit(first, last);
    first = slots._Find_next(last);
  }
}

std::optional<std::uint32_t> number_from(std::string_view text) {
  std::uint32_t n = 0;
  const auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (bad != std::errc() || end != text.data() + text.size()) return {};
  return n;
}

WorkShard checked(std::uint32_t index, std::uint32_t count, std::string_view got) {
  if (count == 0 || count > kSlots)
    throw Error(fmt::format("expected 1 to {} shards, got {} ({})", kSlots, count, got));
  if (index >= count)
    throw Error(fmt::format("expected an index from 0 to {} for {} shards, got {} ({})", count - 1, count,
                            index, got));
  return {index, count};
}

/// The number in a variable; nothing where that is not set. Throws Error where it is no number.
std::optional<std::uint32_t> variable(const char* name) {
  const char* text = std::getenv(name);
  if (text == nullptr || *text == '\0') return {};
  const auto n = number_from(text);
  if (!n) throw Error(fmt::format("{}: expected a whole number, got '{}'", name, text));
  return n;
}

std::uint32_t needed(const char* name, const char* beside) {
  const auto n = variable(name);
  if (!n)
    throw Error(
        fmt::format("{} is set, but {} is not: how many shards there are is not known", beside, name));
  return *n;
}

std::optional<WorkShard> from_slurm_array() {
  const auto id = variable("SLURM_ARRAY_TASK_ID");
  if (!id) return {};
  // A job that was submitted for some of the shards alone says how many there are.
  if (const auto all = variable("GRAFT_TASKS"))
    return checked(*id, *all, fmt::format("SLURM_ARRAY_TASK_ID={}, GRAFT_TASKS={}", *id, *all));
  const std::uint32_t min = variable("SLURM_ARRAY_TASK_MIN").value_or(0);
  const std::uint32_t max = needed("SLURM_ARRAY_TASK_MAX", "SLURM_ARRAY_TASK_ID");
  const std::uint32_t count = needed("SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_ID");
  const std::string got =
      fmt::format("SLURM_ARRAY_TASK_ID={}, _MIN={}, _MAX={}, _COUNT={}", *id, min, max, count);
  if (max < min || max - min + 1 != count)
    throw Error(
        fmt::format("the array has gaps or steps, so that an index does not say which part of the work it is "
                    "({}); submit --array=0-N, or set GRAFT_TASKS to the number of shards",
                    got));
  return checked(*id - min, count, got);
}

}  // namespace

Slot slot_of(std::string_view unit) {
  return static_cast<Slot>(hash64(unit) >> 48);
}

std::string_view unit_of(std::string_view key, std::string_view path) {
  // Beginnings of the key that may end a path, the longest first.
  for (std::size_t size = std::min(key.size(), path.size()); size > 0; --size) {
    const std::string_view unit = key.substr(0, size);
    if (path.ends_with(unit) && (path.size() == size || path[path.size() - size - 1] == '/')) return unit;
  }
  return key;
}

std::string WorkShard::text() const {
  return fmt::format("{}/{}", index, count);
}

SlotSet WorkShard::slots() const {
  SlotSet out;
  const std::size_t first = std::size_t{index} * kSlots / count;
  const std::size_t end = (std::size_t{index} + 1) * kSlots / count;
  for (std::size_t slot = first; slot < end; ++slot) out.set(slot);
  return out;
}

WorkShard WorkShard::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  const auto index = number_from(text.substr(0, slash));
  const auto count = slash == std::string_view::npos ? std::nullopt : number_from(text.substr(slash + 1));
  if (!index || !count) throw Error(fmt::format("expected INDEX/COUNT such as 0/8, or auto, got '{}'", text));
  return checked(*index, *count, text);
}

WorkShard WorkShard::from_environment(std::string* found) {
  const auto note = [&](const char* name) {
    if (found != nullptr) *found = name;
  };
  if (const auto shard = from_slurm_array()) return note("SLURM_ARRAY_TASK_ID"), *shard;
  struct Launcher {
    const char *index, *count;
  };
  static constexpr Launcher kLaunchers[] = {
      {"JOB_COMPLETION_INDEX", "GRAFT_TASKS"},
      {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},
      {"PMIX_RANK", "PMIX_SIZE"},
      {"PMI_RANK", "PMI_SIZE"},
      {"SLURM_PROCID", "SLURM_NTASKS"},
  };
  for (const auto& [index, count] : kLaunchers) {
    const auto i = variable(index);
    if (!i) continue;
    // PMIx gives the rank alone; Slurm, which starts it, gives the number of tasks.
    const auto n = std::string_view(index) == "PMIX_RANK" && !variable(count) ? needed("SLURM_NTASKS", index)
                                                                              : needed(count, index);
    note(index);
    return checked(*i, n, fmt::format("{}={}, {}={}", index, *i, count, n));
  }
  throw Error(
      "auto: no launcher has set SLURM_ARRAY_TASK_ID, JOB_COMPLETION_INDEX, OMPI_COMM_WORLD_RANK, PMIX_RANK, "
      "PMI_RANK or SLURM_PROCID; give INDEX/COUNT");
}

Value to_value(const SlotSet& slots) {
  Value out = Value::list();
  for_each_range(slots, [&](std::size_t first, std::size_t last) {
    out.push(Value::List{static_cast<std::int64_t>(first), static_cast<std::int64_t>(last)});
  });
  return out;
}

SlotSet slots_from(const Value& ranges) {
  SlotSet out;
  for (const Value& range : ranges.as_list()) {
    const Value::List& ends = range.as_list();
    if (ends.size() != 2 || ends[0].as_int() < 0 || ends[1].as_int() < ends[0].as_int() ||
        ends[1].as_int() >= static_cast<std::int64_t>(kSlots))
      throw Error("no range of slots");
    for (auto slot = ends[0].as_int(); slot <= ends[1].as_int(); ++slot)
      out.set(static_cast<std::size_t>(slot));
  }
  return out;
}

SlotSet upper_half(const SlotSet& slots) {
  SlotSet out;
  for_each_range(slots, [&](std::size_t first, std::size_t last) {
    for (std::size_t slot = first + (last - first + 2) / 2; slot <= last; ++slot) out.set(slot);
  });
  if (out.none() && slots.count() > 1) {  // single slots far apart: every second one
    bool take = false;
    for (std::size_t slot = slots._Find_first(); slot < kSlots; slot = slots._Find_next(slot)) {
      if (take) out.set(slot);
      take = !take;
    }
  }
  return out;
}

}  // namespace graft
