#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <graft/item.h>
#include <graft/params.h>

#include <source/archive_member.h>
#include <source/archive_reader.h>
#include <source/walk.h>

using graft::source::ArchiveReader;

/// A member of an archive that becomes an input.
struct Input {
  using Fault = graft::source::ArchiveMember::Fault;

  std::size_t index = 0;  ///< Position in the archive.
  std::string name;
  std::optional<std::uint64_t> size;  ///< By its header.
  Fault fault = Fault::None;
  std::vector<std::string> labels;
  std::optional<graft::Split> split;
  std::string group;  ///< Inputs that must share a split; empty: the key.
};

/// Says which members of archives are inputs, and of what class and split. Used by one thread.
class Layout {
 public:
  virtual ~Layout() = default;

  /// Before the members of an archive, `path` relative to the root: false when it is not to be read.
  virtual bool begin(const std::string& path) = 0;
  /// The member that `member` has just found. May read it: gives the bytes that are held of its data. Throws
  /// graft::Error for a label that is none.
  std::size_t take(ArchiveReader& member);
  /// The inputs of the archive, in the order of its members.
  virtual std::vector<Input> finish(const std::string& path) = 0;
  /// After the last archive. Throws graft::Error when `splits` names what is not there.
  virtual void close(const std::string& root) = 0;
  /// Inputs that finish gave, with what is known only after close; some may be left out.
  virtual std::vector<Input> place(std::vector<Input> inputs) { return inputs; }
  /// The format says so of the labels: see graft::Catalog.
  virtual bool labels_are_positions() const { return false; }
  /// Warns of what was left out, or reports it to `skip`.
  virtual void report(const std::string& root, const std::function<void(const std::string&)>& warn,
                      const graft::source::OnSkip& skip) const;

 protected:
  /// A regular file, or what has the name of an image and is none; `input` has no labels yet.
  virtual std::size_t take(Input input, ArchiveReader& member) = 0;

 private:
  struct Left {
    std::string kind, path, cure;
  };
  std::vector<Left> left_;
};

/// `layout`, `splits`, `label_from`, `label_field`.
std::vector<graft::ParamSpec> layout_parameters();
std::unique_ptr<Layout> make_layout(const graft::Params& params);
