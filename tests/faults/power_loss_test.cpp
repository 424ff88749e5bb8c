// Power cuts, as a model: what a worker did to its files is recorded and replayed up to a random moment; of
// what was not synced by then, some blocks and some names are lost.

#include <sys/stat.h>

#include <map>
#include <memory>
#include <set>

#include <graft/random.h>

#include "store_faults.h"

namespace graft::test {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kBlock = 4096;

/// A file or a folder: what the system sees, and what is on disk.
struct Node {
  bool is_folder = false;
  std::string content, durable;
  std::set<std::size_t> unsynced;  // blocks
  std::map<std::string, std::shared_ptr<Node>> names, durable_names;
  /// Changes of names since the last sync of the folder, in order; without a node: the name is gone.
  using Change = std::vector<std::pair<std::string, std::shared_ptr<Node>>>;
  std::vector<Change> changes;

  void write(std::uint64_t offset, const std::string& data) {
    if (content.size() < offset + data.size()) content.resize(offset + data.size(), '\0');
    content.replace(offset, data.size(), data);
    for (std::uint64_t b = offset / kBlock; b * kBlock < offset + data.size(); ++b) unsynced.insert(b);
  }
  void sync() {
    if (!is_folder) durable = content;
    unsynced.clear();
    for (const Change& c : changes) apply(c, durable_names);
    changes.clear();
  }
  void change(Change c) {
    apply(c, names);
    changes.push_back(std::move(c));
  }
  static void apply(const Change& change, std::map<std::string, std::shared_ptr<Node>>& names) {
    for (const auto& [name, node] : change)
      if (node)
        names[name] = node;
      else
        names.erase(name);
  }
};

/// A folder and all below it, on a disk that forgets what was not synced.
class Disk {
 public:
  explicit Disk(fs::path root) : root_(std::move(root)) { root_node_->is_folder = true; }

  /// What is there now is on disk.
  void load() { load(root_, *root_node_); }

  void replay(const RecordedOperation& header, const fs::path& path, const fs::path& other,
              const std::string& data) {
    switch (header.operation) {
      case Operation::Create:
        add(path, inodes_[header.file] = std::make_shared<Node>());
        break;
      case Operation::MakeFolder: {
        auto folder = std::make_shared<Node>();
        folder->is_folder = true;
        add(path, std::move(folder));
        break;
      }
      case Operation::Write:
        inodes_.at(header.file)->write(header.offset, data);
        break;
      case Operation::Truncate:
        inodes_.at(header.file)->content.resize(header.offset, '\0');
        break;
      case Operation::Sync: {
        const auto folder = find(path);
        (folder && folder->is_folder ? folder : inodes_.at(header.file))->sync();
        break;
      }
      case Operation::Link:
        add(other, find(path));
        break;
      case Operation::Rename:
        if (path.parent_path() != other.parent_path()) throw std::logic_error("a name moves between folders");
        find(path.parent_path())
            ->change({{path.filename().string(), nullptr}, {other.filename().string(), find(path)}});
        break;
      case Operation::Unlink:
      case Operation::RemoveFolder:
        add(path, nullptr);
        break;
      case Operation::Say:
      case Operation::Read:
        break;
    }
  }

  /// Writes what a power cut leaves: unsynced blocks are kept with probability `keep`, unsynced changes of
  /// names up to a random one of each folder, or each by itself: no order is promised.
  void cut_power(const fs::path& to, double keep, Random& random) const {
    leave(*root_node_, to, keep, random);
  }

 private:
  void load(const fs::path& folder, Node& node) {
    for (const auto& entry : fs::directory_iterator(folder)) {
      auto child = std::make_shared<Node>();
      struct stat info {};
      if (::stat(entry.path().c_str(), &info) != 0) throw std::runtime_error("cannot examine a file");
      child->is_folder = entry.is_directory();
      if (child->is_folder)
        load(entry.path(), *child);
      else
        child->content = child->durable = slurp(entry.path());
      inodes_[info.st_ino] = child;
      node.names[entry.path().filename().string()] = child;
    }
    node.durable_names = node.names;
  }

  std::shared_ptr<Node> find(const fs::path& path) const {
    std::shared_ptr<Node> node = root_node_;
    const fs::path below = path.lexically_relative(root_);
    if (below == ".") return node;
    for (const fs::path& part : below) {
      const auto it = node->names.find(part.string());
      if (it == node->names.end()) return nullptr;
      node = it->second;
    }
    return node;
  }
  void add(const fs::path& path, std::shared_ptr<Node> node) {
    find(path.parent_path())->change({{path.filename().string(), std::move(node)}});
  }

  static void leave(const Node& node, const fs::path& to, double keep, Random& random) {
    if (!node.is_folder) {
      std::string left = node.durable;
      if (node.content.size() < left.size() && random.chance(keep)) left.resize(node.content.size());
      // The size may reach the disk without the blocks: they read as zeros.
      if (node.content.size() > left.size() && random.chance(keep / 2))
        left.resize(node.content.size(), '\0');
      for (const std::size_t block : node.unsynced) {
        if (!random.chance(keep)) continue;
        const std::string data = node.content.substr(std::min(block * kBlock, node.content.size()), kBlock);
        if (left.size() < block * kBlock + data.size()) left.resize(block * kBlock + data.size(), '\0');
        left.replace(block * kBlock, data.size(), data);
      }
      std::ofstream(to, std::ios::binary) << left;
      return;
    }
    fs::create_directories(to);
    auto names = node.durable_names;
    const std::size_t kept = random.chance(0.25)   ? 0
                             : random.chance(0.33) ? node.changes.size()
                                                   : random.below(node.changes.size() + 1);
    const bool in_order = random.chance(0.5);
    for (std::size_t i = 0; i < node.changes.size(); ++i)
      if (in_order ? i < kept : random.below(node.changes.size()) < kept) Node::apply(node.changes[i], names);
    for (const auto& [name, child] : names) leave(*child, to / name, keep, random);
  }

  fs::path root_;
  std::shared_ptr<Node> root_node_ = std::make_shared<Node>();
  std::map<std::uint64_t, std::shared_ptr<Node>> inodes_;
};

class PowerLossTest : public StoreFaults {
 protected:
  /// Cuts the power at random moments of what was recorded; `disk` is as it was before, when `committed` rows
  /// had been promised.
  void cut_at_random(Disk disk, const std::vector<Recorded>& operations, std::uint64_t committed,
                     std::uint64_t seed) {
    const std::uint64_t states = long_trials() ? 2500 : 100;
    std::multimap<std::size_t, std::uint64_t> stops;  // and the seed of what is lost then
    for (std::uint64_t s = seed; s < seed + states; ++s)
      stops.emplace(Random(s, "stop", 0).below(operations.size() + 1), s);
    for (std::size_t at = 0; at <= operations.size() && !HasFailure(); ++at) {
      const auto [first, last] = stops.equal_range(at);
      for (auto it = first; it != last && !HasFailure(); ++it) {
        Random random(it->second);
        constexpr double kKeep[] = {0, 0.5, 0.9, 1};
        const double keep = kKeep[random.below(4)];
        SCOPED_TRACE("seed " + std::to_string(it->second) + ": power cut after " + std::to_string(at) +
                     " of " + std::to_string(operations.size()) +
                     " operations, blocks kept with probability " + std::to_string(keep));
        const TempFolder after(memory());
        disk.cut_power(after.path(), keep, random);
        expect_kept(after / "s", fill_, committed);
        expect_completes(after / "s", fill_);
      }
      if (at == operations.size()) break;
      const Recorded& o = operations[at];
      if (o.header.operation == Operation::Say && o.data.rfind("committed ", 0) == 0)
        committed = std::max<std::uint64_t>(committed, std::stoull(o.data.substr(10)));
      disk.replay(o.header, o.path, o.other, o.data);
    }
  }

  const Fill fill_{};
};

TEST_F(PowerLossTest, InAFirstRunLosesNothing) {
  const auto operations = record_fill(folder_ / "s", fill_);
  cut_at_random(Disk(folder_.path()), operations, 0, 1000);
}

TEST_F(PowerLossTest, InARunAfterAKillLosesNothing) {
  const fs::path store = folder_ / "s";
  const WorkerResult killed = run_fill(store, fill_, faults(store, {"GRAFT_FAULT_KILL=85:torn"}));
  ASSERT_TRUE(killed.killed());
  ASSERT_GT(killed.committed, 200u);
  Disk disk(folder_.path());
  disk.load();
  const auto operations = record_fill(store, fill_);
  cut_at_random(std::move(disk), operations, killed.committed, 10000);
}

}  // namespace
}  // namespace graft::test
