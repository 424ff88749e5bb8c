#include <graft/catalog.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <numeric>
#include <sstream>
#include <utility>

#include <fmt/format.h>
#include <graft/text.h>
#include <utf8proc.h>

#include <graft/hash.h>

#include "base/key_table.h"
#include "base/paged_memory.h"
#include "plugin/split.h"

namespace graft {
namespace {

constexpr std::size_t kFew = 20;
constexpr std::size_t kRowsPerRelease = 65536;
constexpr std::array kSplits{Split::Train, Split::Val, Split::Test};
constexpr std::uint64_t kThinSalt = 3;  // 1 and 2 are SplitRule's

std::optional<std::uint64_t> whole_number(const std::string& s) {
  std::uint64_t n = 0;
  const auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), n);
  if (error != std::errc() || end != s.data() + s.size()) return {};
  return n;
}

std::string trimmed(const std::string& text) {
  constexpr const char* kBlanks = " \t";
  const std::size_t first = text.find_first_not_of(kBlanks);
  return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(kBlanks) + 1 - first);
}

// A name as people see it at a glance: characters that look alike are one, no blanks around it, nothing
// invisible, lower case, no accents on letters. Vowel signs of other scripts stay: they tell words apart. A
// name that is not UTF-8 stays as it is.
std::string folded(const std::string& name) {
  constexpr auto kOptions =
      static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT |
                                     UTF8PROC_IGNORE | UTF8PROC_CASEFOLD | UTF8PROC_LUMP);
  utf8proc_uint8_t* mapped = nullptr;
  const utf8proc_ssize_t size = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(name.data()),
                                             static_cast<utf8proc_ssize_t>(name.size()), &mapped, kOptions);
  if (size < 0) return trimmed(name);
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(mapped, &std::free);
  std::string out;
  for (utf8proc_ssize_t i = 0; i < size; ++i) {
    const bool accent = (mapped[i] == 0xcc && mapped[i + 1] >= 0x80) ||  // U+0300 to U+036F; ends with a zero
                        (mapped[i] == 0xcd && mapped[i + 1] >= 0x80 && mapped[i + 1] <= 0xaf);
    if (accent)
      ++i;
    else
      out += static_cast<char>(mapped[i]);
  }
  return trimmed(out);
}

// What programs write for a value that is missing.
bool stands_for_nothing(const std::string& name) {
  constexpr std::array<std::string_view, 8> kNothing{"nan", "none", "null", "n/a",
                                                     "na",  "<na>", "nil",  "#n/a"};
  return std::find(kNothing.begin(), kNothing.end(), folded(name)) != kNothing.end();
}

// Without the difference between ways to write one character in UTF-8, and without what is invisible.
std::string as_seen(const std::string& name) {
  constexpr auto kOptions =
      static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_IGNORE | UTF8PROC_LUMP);
  utf8proc_uint8_t* mapped = nullptr;
  const utf8proc_ssize_t size = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(name.data()),
                                             static_cast<utf8proc_ssize_t>(name.size()), &mapped, kOptions);
  if (size < 0) return name;
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(mapped, &std::free);
  return {reinterpret_cast<const char*>(mapped), static_cast<std::size_t>(size)};
}

// "'ant' and 'Ant'" for every pair of names that look the same, or are the same number.
std::vector<std::string> lookalikes(const std::vector<std::string>& names) {
  std::unordered_map<std::string, const std::string*> seen;
  std::vector<std::string> out;
  for (const std::string& name : names) {
    const auto number = whole_number(name);
    const auto [at, fresh] = seen.try_emplace(number ? std::to_string(*number) : folded(name), &name);
    if (!fresh) out.push_back(fmt::format("'{}' and '{}'", *at->second, name));
  }
  return out;
}

// One name per line. A lone carriage return ends a line, too.
std::vector<std::string> read_classes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::vector<std::string> names;
  std::unordered_map<std::string, std::size_t> line_of;
  std::string text{std::istreambuf_iterator<char>(in), {}};
  if (text.starts_with("\xef\xbb\xbf")) text.erase(0, 3);
  if (text.find('\n') == std::string::npos) std::replace(text.begin(), text.end(), '\r', '\n');
  std::istringstream lines(text);
  for (std::size_t n = 1; std::getline(lines, text); ++n) {
    if (text.ends_with('\r')) text.pop_back();
    const std::string line = trimmed(text);
    if (line.empty()) continue;
    if (const auto [at, fresh] = line_of.try_emplace(line, n); !fresh)
      throw Error(fmt::format("{}:{}: the class '{}' is in line {} already; a class has one line", path, n,
                              line, at->second));
    names.push_back(line);
  }
  if (in.bad() || names.empty())
    throw Error(fmt::format("classes: expected one class name per line in {}, got {}", path,
                            in.bad() ? "an error while reading" : "an empty file"));
  return names;
}

/// Whether a class is called by a number that is not its position: "01" to "09", "10". A number as a label
/// may then be a name that is written in another way, and is never taken for a position.
bool has_other_numbers(const std::vector<std::string>& classes) {
  for (std::size_t i = 0; i < classes.size(); ++i)
    if (const auto number = whole_number(classes[i]); number && *number != i) return true;
  return false;
}

}  // namespace

struct Catalog::Row {
  std::string_view key;
  std::uint32_t first_label, labels;
  std::uint32_t group;  // 0: the key is its own group; n: groups_[n - 1]
  std::optional<Split> given;
  Split split;
  bool negative;
  std::size_t found_at;

  bool labelled() const { return negative || labels > 0; }
};

struct Catalog::Rows {
  PagedVector<Row> all;
  PagedVector<std::int32_t> labels;
  PagedArena keys;
  KeyTable by_key;   // until the catalog is closed
  std::string twin;  // a key that two rows have

  std::optional<std::uint32_t> find(std::string_view key, std::uint64_t hash) const {
    return by_key.find(hash, [&](std::uint32_t row) { return all[row].key == key; });
  }

  /// Calls `visit` with every row, and keeps neither rows nor keys in memory.
  void each(const std::function<void(Row&)>& visit) {
    std::size_t n = 0;
    for (Row& row : all) {
      visit(row);
      if (++n % kRowsPerRelease == 0) keys.release();
    }
  }
};

Catalog::~Catalog() = default;

std::size_t Catalog::size() const {
  return rows_->all.size();
}

std::string_view Catalog::key(std::size_t row) const {
  return rows_->all[row].key;
}

std::size_t Catalog::found_at(std::size_t row) const {
  return rows_->all[row].found_at;
}

std::string_view Catalog::group_of(const Row& row) const {
  return row.group > 0 ? std::string_view(groups_[row.group - 1]) : row.key;
}

std::vector<ParamSpec> Catalog::parameters() {
  std::vector<ParamSpec> specs{
      file("classes").optional().doc("Text file with one class name per line: fixes the classes and their "
                                     "order; default: the classes found, in the order of their names.")};
  for (ParamSpec& p : SplitRule::parameters()) specs.push_back(std::move(p));
  const auto limit = [](const char* name, const char* of) {
    return integer(name).at_least(1).unit("inputs").optional().doc(of);
  };
  specs.push_back(object("max_per_class",
                         {limit("all", "In every split that has no limit of its own."),
                          limit("train", "In train."), limit("val", "In val."), limit("test", "In test.")})
                      .or_scalar()
                      .doc("Maximum number of inputs of each class in each split, chosen by the seed; inputs "
                           "that show none of the classes count as one class more."));
  specs.push_back(integer("shots").at_least(1).unit("inputs").optional().doc(
      "Few-shot study: this many train inputs of each class, and as many that show none of the classes, "
      "chosen by the seed; smaller draws are subsets of larger ones; val that is carved out of train shrinks "
      "in proportion, test stays whole."));
  return specs;
}

Catalog::Catalog(const StageContext& context)
    : params_(context.params), seed_(context.seed), warn_(context.warn), rows_(std::make_unique<Rows>()) {
  if (!params_.has("classes")) return;
  fixed_by_ = params_.get<std::string>("classes");
  classes_ = read_classes(fixed_by_);
}

void Catalog::set_classes(std::vector<std::string> names) {
  if (fixed_by_.empty()) {
    classes_ = std::move(names);
    fixed_by_ = "the data's list of classes";
  } else if (names.size() != classes_.size()) {
    throw Error(fmt::format("classes: expected {}, as the data have, got {} in {}",
                            plural(names.size(), "name"), classes_.size(), fixed_by_));
  }
}

// The symbol belongs to plugin API 10.
// NOLINTNEXTLINE(performance-unnecessary-value-param)
void Catalog::add(std::string key, const std::vector<std::string>& labels, std::optional<Split> split,
                  std::size_t found_at, const std::string& group, bool negative) {
  if (!group.empty() && (groups_.empty() || groups_.back() != group)) groups_.push_back(group);
  const std::uint64_t hash = hash64(key);
  if (rows_->twin.empty() && rows_->find(key, hash)) rows_->twin = key;
  rows_->by_key.add(hash, static_cast<std::uint32_t>(size()));
  rows_->all.push_back({rows_->keys.keep(key), static_cast<std::uint32_t>(rows_->labels.size()),
                        static_cast<std::uint32_t>(labels.size()),
                        static_cast<std::uint32_t>(group.empty() ? 0 : groups_.size()), split, Split::Train,
                        negative, found_at});
  for (const std::string& label : labels)
    rows_->labels.push_back(
        found_.try_emplace(label, static_cast<std::int32_t>(found_.size())).first->second);
}

std::optional<std::size_t> Catalog::find(std::string_view key) const {
  return rows_->find(key, hash64(key));
}

void Catalog::skipped(const std::string& kind, const std::string& example, const std::string& cure) {
  const auto known =
      std::find_if(skipped_.begin(), skipped_.end(), [&](const Skipped& s) { return s.kind == kind; });
  if (known != skipped_.end())
    ++known->count;
  else
    skipped_.push_back({kind, example, cure, 1});
}

void Catalog::close() {
  for (const Skipped& s : skipped_)
    warn_(fmt::format("{} skipped, for example {} ({})", plural(s.count, s.kind), s.example, s.cure));
  rows_->by_key.clear();
  if (!rows_->twin.empty())
    throw Error(fmt::format("two inputs have the key '{}'; give each a key of its own", rows_->twin));
  number_classes();
  decide_splits();
  warn_classes();
  const Params limits = params_.object("max_per_class");
  for (const Split split : kSplits)
    if (const char* name = limits.has(to_string(split)) ? to_string(split) : "all"; limits.has(name))
      thin_out(limits.get<std::size_t>(name), split);
  // Val that is carved out of train is limited with it.
  if (limits.has("train") && !limits.has("val") && !limits.has("all"))
    take_shots(limits.get<std::size_t>("train"));
  if (params_.has("shots")) take_shots(params_.get<std::size_t>("shots"));
}

Entry Catalog::entry(std::size_t row) const {
  const Row& r = rows_->all[row];
  Entry out{std::string(r.key), r.split, {}, {}, {}, r.negative};
  for (std::uint32_t i = r.first_label; i < r.first_label + r.labels; ++i)
    out.labels.push_back(rows_->labels[i]);
  // Sources go through their rows in order.
  rows_->all.release_behind(row);
  rows_->labels.release_behind(r.first_label);
  if (row % kRowsPerRelease == 0) rows_->keys.release();
  return out;
}

void Catalog::number_classes() {
  for (const auto& [label, number] : found_)
    if (const std::size_t nul = label.find('\0'); nul != std::string::npos)
      throw Error(fmt::format("a label that begins with '{}' holds a NUL byte, which no name of a class may",
                              label.substr(0, nul)));
  if (fixed_by_.empty()) {
    for (const auto& [name, number] : found_) classes_.push_back(name);
    const bool numbers =
        std::all_of(classes_.begin(), classes_.end(), [](const auto& s) { return whole_number(s); });
    std::sort(classes_.begin(), classes_.end(), [&](const std::string& a, const std::string& b) {
      return numbers && whole_number(a) != whole_number(b) ? whole_number(a) < whole_number(b) : a < b;
    });
  }
  if (const auto pairs = lookalikes(classes_); !pairs.empty())
    warn_("classes whose names differ by blanks, case, accents or leading zeros only: " + joined(pairs));
  std::vector<std::string> nothing;
  std::copy_if(classes_.begin(), classes_.end(), std::back_inserter(nothing), stands_for_nothing);
  // Beside classes that are numbered from 0, as tables of labels have it.
  const auto is_class = [&](const char* name) {
    return std::find(classes_.begin(), classes_.end(), name) != classes_.end();
  };
  if (is_class("-1") && is_class("0")) nothing.insert(nothing.begin(), "-1");
  if (!nothing.empty() && fixed_by_.empty())
    warn_("classes whose names usually mark a missing value: " + joined(nothing) +
          "; leave the label empty for an input without one");
  std::unordered_map<std::string, std::int32_t> position;
  for (std::size_t i = 0; i < classes_.size(); ++i)
    position.emplace(classes_[i], static_cast<std::int32_t>(i));
  const bool fixed = !fixed_by_.empty();
  const bool positions =
      fixed && (positions_ || (!has_other_numbers(classes_) &&
                               std::all_of(found_.begin(), found_.end(), [&](const auto& f) {
                                 return whole_number(f.first) && !position.contains(f.first);
                               })));
  std::vector<std::int32_t> final_number(found_.size(), -1);
  std::unordered_map<std::uint64_t, std::string> text_of;
  for (const auto& [label, number] : found_) {
    const auto named = position.find(label);
    if (!positions) {
      if (named != position.end()) final_number[static_cast<std::size_t>(number)] = named->second;
      continue;
    }
    const auto index = whole_number(label);
    if (!index) continue;
    if (const auto [same, fresh] = text_of.try_emplace(*index, label); !fresh)
      throw Error(
          fmt::format("the labels '{}' and '{}' would both be position {} in {}; write numbers in one way",
                      std::min(same->second, label), std::max(same->second, label), *index, fixed_by_));
    if (*index < classes_.size())
      final_number[static_cast<std::size_t>(number)] = static_cast<std::int32_t>(*index);
  }
  if (positions)
    for (const auto& [label, number] : found_)
      if (const auto named = position.find(label);
          named != position.end() && final_number[static_cast<std::size_t>(number)] >= 0 &&
          final_number[static_cast<std::size_t>(number)] != named->second) {
        warn_(fmt::format(
            "labels are positions in {}, counted from 0: the label {} is the class '{}', but another class "
            "is called '{}'",
            fixed_by_, label,
            classes_[static_cast<std::size_t>(final_number[static_cast<std::size_t>(number)])], label));
        break;
      }
  PagedVector<std::int32_t>& labels = rows_->labels;
  for (const Row& row : std::as_const(rows_->all))
    for (std::uint32_t i = row.first_label; i < row.first_label + row.labels; ++i) {
      const std::int32_t number = final_number[static_cast<std::size_t>(labels[i])];
      if (number < 0) unknown_label(row, labels[i]);
      labels[i] = number;
      labels.release_behind(i);
    }
}

void Catalog::unknown_label(const Row& row, std::int32_t number) const {
  const auto label =
      std::find_if(found_.begin(), found_.end(), [&](const auto& f) { return f.second == number; });
  const auto is_name = [&](const std::string& text) {
    return std::find(classes_.begin(), classes_.end(), text) != classes_.end();
  };
  if (whole_number(label->first)) {
    if (!positions_ &&
        std::any_of(found_.begin(), found_.end(), [&](const auto& f) { return is_name(f.first); }))
      throw Error(
          fmt::format("the label '{}' of '{}' is not in {}: because other labels are names in the list, it "
                      "is not taken as a position; add it there, or leave the input out",
                      label->first, row.key, fixed_by_));
    if ((positions_ || !has_other_numbers(classes_)) &&
        std::all_of(found_.begin(), found_.end(), [](const auto& f) { return whole_number(f.first); }))
      throw Error(
          fmt::format("the label '{}' of '{}' is not a position in {}, which has {}, counted from 0; add "
                      "the class there, or leave the input out",
                      label->first, row.key, fixed_by_, classes_.size()));
  }
  const auto twin = std::find_if(classes_.begin(), classes_.end(), [&](const std::string& name) {
    return as_seen(name) == as_seen(label->first);
  });
  if (twin != classes_.end())
    throw Error(
        fmt::format("the label '{}' of '{}' is not in {}, where '{}' looks the same but is encoded otherwise "
                    "(Unicode has "
                    "several ways to write an accented letter or a blank); write both in one way",
                    label->first, row.key, fixed_by_, *twin));
  const auto near = nearest(label->first, classes_);
  throw Error(fmt::format("the label '{}' of '{}' is not in {}{}; add it there, or leave the input out",
                          label->first, row.key, fixed_by_,
                          near ? fmt::format(" (did you mean '{}'?)", *near) : ""));
}

void Catalog::decide_splits() {
  std::array<bool, kSplits.size()> used{};
  for (const Row& row : std::as_const(rows_->all))
    if (row.given) used[static_cast<std::size_t>(*row.given)] = true;
  std::vector<Split> given;
  for (const Split split : kSplits)
    if (used[static_cast<std::size_t>(split)]) given.push_back(split);
  const SplitRule rule(params_, given);
  rows_->each([&](Row& row) {
    row.split = row.given ? rule.given(group_of(row), *row.given) : rule.hashed(group_of(row));
  });
  if (!params_.has("group") || rows_->all.empty()) return;
  const auto every = [&](const auto& holds) {
    return std::all_of(rows_->all.begin(), rows_->all.end(),
                       [&](const Row& r) { return holds(rule.group_of(group_of(r)), group_of(r)); });
  };
  const auto warn = [&](const char* text) {
    warn_(fmt::format("group '{}' {}, for example '{}'", params_.get<std::string>("group"), text,
                      rows_->all[0].key));
  };
  if (every([](const std::string& group, std::string_view key) { return group == key; }))
    warn("finds nothing to group in any key");
  else if (every([](const std::string& group, std::string_view) { return group.empty(); }))
    warn("finds the empty text in every key, so that all inputs are one group");
}

void Catalog::warn_classes() const {
  std::vector<std::array<std::size_t, kSplits.size()>> inputs(classes_.size());
  std::array<bool, kSplits.size()> used{};
  // What is learned where no input has several labels cannot be scored on those that have.
  const Row* several_in_test = nullptr;
  bool several_to_learn = false;
  for (const Row& row : std::as_const(rows_->all)) {
    if (row.split != Split::Test)
      several_to_learn = several_to_learn || row.negative || row.labels > 1;
    else if (row.labels > 1 && several_in_test == nullptr)
      several_in_test = &row;
    const auto split = static_cast<std::size_t>(row.split);
    used[split] = used[split] || row.labelled();
    for (std::uint32_t i = row.first_label; i < row.first_label + row.labels; ++i) {
      ++inputs[static_cast<std::size_t>(rows_->labels[i])][split];
      rows_->labels.release_behind(i);
    }
  }
  if (several_in_test != nullptr && !several_to_learn)
    warn_(
        fmt::format("inputs of test have several labels, for example '{}', but none of train and val: "
                    "learners give each input one class and cannot be scored on them; leave one label to "
                    "each, or move some of them to train",
                    several_in_test->key));
  std::vector<std::string> few;
  for (const Split split : kSplits) {
    std::vector<std::string> missing;
    for (std::size_t c = 0; c < classes_.size(); ++c)
      if (inputs[c][static_cast<std::size_t>(split)] == 0) missing.push_back(classes_[c]);
    if (used[static_cast<std::size_t>(split)] && !missing.empty())
      warn_(fmt::format("classes without an image in the {} split: {}", to_string(split), joined(missing)));
  }
  for (std::size_t c = 0; c < classes_.size(); ++c) {
    const std::size_t n = std::accumulate(inputs[c].begin(), inputs[c].end(), std::size_t{0});
    if (n < kFew) few.push_back(fmt::format("{} ({})", classes_[c], n));
  }
  if (!few.empty())
    warn_(fmt::format("classes with fewer than {} images, whose scores will be unreliable: {}", kFew,
                      joined(few)));
}

void Catalog::take_shots(std::size_t shots) {
  const bool val_is_given = std::any_of(rows_->all.begin(), rows_->all.end(),
                                        [](const Row& row) { return row.given == Split::Val; });
  const auto share = params_.get<double>("val_fraction");
  // A whole number may have become a little more by rounding: 12 * 0.2 / (1 - 0.2).
  constexpr double kRounding = 1 - 1e-12;
  if (!val_is_given && share > 0)
    thin_out(
        static_cast<std::size_t>(std::ceil(static_cast<double>(shots) * share / (1 - share) * kRounding)),
        Split::Val);
  thin_out(shots, Split::Train);
}

void Catalog::thin_out(std::size_t limit, Split split) {
  std::vector<std::pair<std::uint64_t, std::size_t>> order;
  PagedVector<Row>& rows = rows_->all;
  std::size_t next = 0;
  for (const Row& row : std::as_const(rows)) {
    if (row.labelled() && row.split == split) order.emplace_back(hash64(row.key, seed_ ^ kThinSalt), next);
    ++next;
  }
  std::sort(order.begin(), order.end());
  std::vector<std::size_t> kept(classes_.size() + 1);
  std::vector<bool> drop(rows.size());
  for (const auto& [hash, i] : order) {
    const Row& row = rows[i];
    std::vector<std::size_t> labels;
    if (row.negative) labels.push_back(classes_.size());
    for (std::uint32_t at = row.first_label; at < row.first_label + row.labels; ++at)
      labels.push_back(static_cast<std::size_t>(rows_->labels[at]));
    // One of several labels that still has room is reason enough.
    drop[i] =
        std::all_of(labels.begin(), labels.end(), [&](std::size_t label) { return kept[label] >= limit; });
    if (!drop[i])
      for (const std::size_t label : labels) ++kept[label];
  }
  PagedVector<Row> left;
  next = 0;
  for (const Row& row : std::as_const(rows))
    if (!drop[next++]) left.push_back(row);
  rows = std::move(left);
}

}  // namespace graft
