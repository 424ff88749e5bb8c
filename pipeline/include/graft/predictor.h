#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <graft/export.h>
#include <graft/payload.h>
#include <graft/table.h>
#include <graft/value.h>

namespace graft {

/// Class probabilities, row-major rows x classes. Each row sums to 1, but for a multi-label learner. A run
/// warns of scores that are not probabilities (improper_scores), and goes on.
struct Scores {
  std::size_t rows = 0;
  std::size_t classes = 0;
  std::vector<float> values;

  Scores() = default;
  Scores(std::size_t n, std::size_t k) : rows(n), classes(k), values(n * k) {}
  float* row(std::size_t r) { return values.data() + r * classes; }
  const float* row(std::size_t r) const { return values.data() + r * classes; }
};

/// A tensor that is read in blocks, because it may be larger than memory. Immutable; any thread.
class GRAFT_API TensorReader {
 public:
  virtual ~TensorReader();
  virtual DType dtype() const = 0;
  /// At least one extent: the first counts the rows.
  virtual const Shape& shape() const = 0;
  /// Reads rows [first, first + count), row-major without gaps. Throws Error.
  virtual void read(std::size_t first, std::size_t count, void* out) const = 0;
};

/// What a learner leaves on disk (`models/<stage>/`): named tensors (weights.safetensors) and facts
/// (bundle.json).
struct Bundle {
  Value facts = Value::map();
  std::map<std::string, Tensor> tensors;
  /// Tensors that may be larger than memory, in the same file. They are read while the bundle is written;
  /// those of a bundle that was loaded are read from its file, which stays open for as long as the reader
  /// lives.
  std::map<std::string, std::shared_ptr<const TensorReader>> large;
};

/// Threads for a learner. Work is cut into blocks by the caller, never by the number of threads, so that sums
/// taken block by block come out bit-identical on any machine.
class GRAFT_API Parallel {
 public:
  virtual ~Parallel();
  /// Calls body(i) for every i in [0, n), in any order, on several threads; returns when all are done. The
  /// first exception is rethrown here. Bodies must not call for_each again.
  virtual void for_each(std::size_t n, const std::function<void(std::size_t)>& body) = 0;
  virtual int threads() const = 0;
};

/// Runs bodies one after the other on the calling thread.
class GRAFT_API Sequential final : public Parallel {
 public:
  void for_each(std::size_t n, const std::function<void(std::size_t)>& body) override {
    for (std::size_t i = 0; i < n; ++i) body(i);
  }
  int threads() const override { return 1; }
};

/// Threads of another, until a flag is raised: then for_each throws Interrupted, between two bodies. So work
/// that is made of short bodies needs no checks of its own.
class GRAFT_API Interruptible final : public Parallel {
 public:
  Interruptible(Parallel& threads, const std::atomic<bool>& interrupted)
      : threads_(threads), interrupted_(interrupted) {}
  void for_each(std::size_t n, const std::function<void(std::size_t)>& body) override;
  int threads() const override { return threads_.threads(); }

  bool interrupted() const { return interrupted_; }
  /// Throws Interrupted when the flag is raised: for long work on one thread.
  void check() const;
  /// The threads without the flag: for work that must be done whole or not at all, as a step of a training
  /// before its state is saved. Keep it short.
  Parallel& uninterrupted() const { return threads_; }

 private:
  Parallel& threads_;
  const std::atomic<bool>& interrupted_;
};

/// Training rows that are most like each of some rows, best first: for people to look at.
struct Neighbours {
  std::size_t k = 0;                ///< How many each row has; 0: the predictor knows of none.
  std::vector<std::uint32_t> rows;  ///< k per row: positions in TrainingTable::train_val of the first table.
  std::vector<float> similarity;    ///< The same; larger is nearer.
};

/// A trained model over tables. Immutable; predict may be called from any thread.
class GRAFT_API Predictor {
 public:
  virtual ~Predictor();
  /// Scores of every row. `tables` has one RowSet per input of the learner, aligned row by row.
  virtual Scores predict(const std::vector<const RowSet*>& tables, Parallel& parallel) const = 0;
  /// By positions in the rows it was refit on; of a loaded one if its bundle has the fact `neighbours`.
  virtual Neighbours neighbours(const std::vector<const RowSet*>& tables, Parallel& parallel) const;
  /// Everything that Learner::load needs to give the same scores to the last bit.
  virtual void save(Bundle& bundle) const = 0;
};

}  // namespace graft
