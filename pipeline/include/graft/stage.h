#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <graft/export.h>
#include <graft/item.h>
#include <graft/params.h>
#include <graft/value.h>

namespace graft {

class Service;

/// What a stage is made from. Valid only during construction; copy what you keep.
struct StageContext {
  std::string id;                                ///< The stage's name in the config.
  const Params& params;                          ///< Checked, defaults filled in, paths absolute.
  std::uint64_t seed = 0;                        ///< The run's seed.
  int threads = 1;                               ///< Worker threads of the run.
  std::function<void(const std::string&)> warn;  ///< Prints a warning. Any thread.
  /// The service plugin of that name ("engine_fused"), loaded and made when it is first asked for; it lives
  /// as long as the stages. Throws Error when it is not installed.
  std::function<Service&(const std::string& plugin)> service = {};
  /// Shape of the input, as far as the config specifies it: "u8[224,224,3]", "u8[?,?,3]"; empty for a source.
  std::string input_shape = {};
  /// How many inputs the source lists, where that was cheap to know.
  std::optional<std::size_t> listed_inputs = {};
  /// For a call that waits for something outside the run, such as a server: to be called at least once a
  /// second meanwhile, so that the watchdog does not take the call for one that hangs. The wait must have a
  /// limit of its own. False: the run was interrupted, return soon. Any thread; empty where nothing watches.
  std::function<bool()> keep_waiting = {};
};

/// What is known of a stage before it is made: from a static member `Inspection inspect(const
/// StageContext&)` of the stage's class, which `graft check`, `graft plan` and a run call once the parameters
/// are checked. It reads the files that parameters name only as far as needed to find errors: headers, within
/// a second. `service` and `keep_waiting` are empty there, `seed` and `listed_inputs` are not set. An
/// exception is an error of the stage.
struct Inspection {
  struct Fault {
    std::string param;  ///< The parameter of the error, "normalize.mean" for a field; empty: the stage.
    std::string text;
  };
  std::vector<Fault> faults;
  std::vector<std::string>
      output_shapes;  ///< One per output port, "f32[512]"; empty: what the schema declares.
};

/// Base of every stage. Constructed on one thread before the graph starts; constructors throw Error.
class GRAFT_API Stage {
 public:
  virtual ~Stage();
  /// Called once on every worker thread before it calls this stage: set thread-local state of libraries here.
  virtual void enter_worker() {}
  /// Called once, on one thread, when the stage's stream has ended and every call has returned; also after an
  /// interruption. For side outputs such as a picture of what went through. Throws Error.
  virtual void finish() {}
  /// What the stage found out about this machine or chose by itself, for the manifest. Called once its stream
  /// has ended.
  virtual Value facts() const { return {}; }
};

/// Serves other stages, which name it in a parameter (service() in params.h). What it offers beyond that is
/// an interface that it shares with them: they reach it by dynamic_cast. Made once a run, from its defaults.
class GRAFT_API Service : public Stage {};

/// Lists inputs. `next` is called by one thread at a time, in order; `load` from any thread.
class GRAFT_API Source : public Stage {
 public:
  /// Class names; the position is the label. Known before the first call of next.
  virtual std::vector<std::string> classes() const = 0;
  /// How many entries next will give, when that is cheap to know.
  virtual std::optional<std::size_t> count() { return {}; }
  /// Fills in the next entry; false at the end. The order is the same on every run over the same inputs.
  virtual bool next(Entry& entry) = 0;
  /// Makes the payload of an entry that has none (drawn or computed input). A pure function of the entry.
  virtual Payload load(const Entry& entry) const;
};

/// A source whose input can only be read forwards: a compressed archive, a video. It keeps its position.
class GRAFT_API ForwardSource : public Source {
 public:
  /// Makes the payload of the entry that `next` gave last. Called by the thread of `next`, right after it and
  /// once at most, for the entries whose content is needed. Throws Reject for one that cannot be read.
  virtual Payload read_current() = 0;

 private:
  /// The runtime calls read_current instead.
  Payload load(const Entry& entry) const final;
};

/// One item in, one item out. `apply` is const, is called from many threads, and must be a pure function of
/// the item and the parameters. Throw Reject for a bad item; anything else thrown becomes a Reject, too.
class GRAFT_API Transform : public Stage {
 public:
  virtual Payload apply(const Item& item) const = 0;
  /// Views made of every item. item.view numbers those of all stages so far: this one is item.view % views().
  virtual std::uint32_t views() const { return 1; }
};

/// Where a batch transform puts its results: a payload per item and output port, or a reject per item.
class GRAFT_API BatchOutput {
 public:
  virtual ~BatchOutput();
  virtual void set(std::size_t item, Payload payload, std::size_t port = 0) = 0;
  virtual void reject(std::size_t item, const std::string& code, const std::string& text) = 0;
};

/// Several items at a time. Batches are formed in the order of the source and hold batch_size() items but for
/// the last one; pad that to the full size, so that shapes never change. `apply` is called from many threads
/// at once.
class GRAFT_API BatchTransform : public Stage {
 public:
  virtual std::size_t batch_size() const = 0;
  /// How many calls of apply may run at once; 0: as many as there are threads.
  virtual std::size_t concurrency() const { return 0; }
  virtual void apply(std::span<const Item> items, BatchOutput& out) const = 0;
};

/// Turns a stream into a table: says what a row looks like and writes it. The runtime stores the rows.
class GRAFT_API Collector : public Stage {
 public:
  struct RowFormat {
    DType dtype = DType::F32;
    Shape shape;
    friend bool operator==(const RowFormat&, const RowFormat&) = default;
  };
  /// How rows are packed when they are sealed into a shard, in whole chunks. They read back the same, so a
  /// table may hold shards of both kinds: a parameter that chooses it is not_in_fingerprint().
  enum class Compression { None, Gzip };
  virtual Compression compression() const { return Compression::None; }
  /// Format of the item's row. Every row of a table must have the same: another one ends the run.
  virtual RowFormat format(const Item& item) const = 0;
  /// Writes the row: elements(shape) * size_of(dtype) bytes. Called from many threads.
  virtual void encode(const Item& item, std::span<std::uint8_t> row) const = 0;
};

}  // namespace graft
