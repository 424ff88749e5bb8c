#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "config/plan.h"
#include "graph/flow.h"
#include "graph/workers.h"
#include "run/input_reader.h"
#include "run/key_check.h"
#include "run/read_ahead.h"
#include "run/row_claims.h"
#include "run/run_table.h"
#include "run/slot_work.h"
#include "run/stage_factory.h"
#include "store/digest_memo.h"
#include "store/row_writer.h"

namespace graft {

/// What a stream does about rows that are not in the tables.
enum class MissingRows : std::uint8_t {
  Compute,
  Refuse,  ///< An error that names them: another process was to compute them.
};

/// Inputs that lack a row in some table.
struct MissingInputs {
  std::uint64_t count = 0;
  std::vector<std::string> examples;  ///< Keys, three at most.
  SlotSet slots;                      ///< Where they are.
};

/// Runs the stream of one source: lists its inputs, lets through what some table lacks, stores the outcomes.
class GRAFT_API StreamRun final : private FlowInput, private FlowOutput {
 public:
  /// `work`: the slots whose inputs this process computes, it alone lists them; null: all inputs.
  StreamRun(const Plan& plan, std::size_t source, const std::filesystem::path& store, DigestMemo& memo,
            StageFactory& factory, Meter& meter, const std::atomic<bool>& interrupted,
            MissingRows missing_rows = MissingRows::Compute, SlotWork* work = nullptr);
  ~StreamRun() override;

  /// run() ends after so many inputs. Another StreamRun with the same factory goes on with the next one, so
  /// that memory does not grow with the number of inputs.
  void stop_after(std::size_t inputs) { most_inputs_ = inputs; }
  /// After run(): whether it has stopped before the end of the source.
  bool goes_on() const { return most_inputs_ > 0 && !listed_all_; }

  /// Runs to the end, or until interrupted. Throws Error for a fatal fault (what was computed is committed),
  /// and when inputs and outcomes do not add up.
  void run(Workers& workers);

  /// What a run would find and have to compute, by table. Lists the inputs; writes nothing. Instead of run().
  struct Survey {
    std::size_t stage = 0;
    std::string fingerprint;
    std::uint64_t stored = 0;  ///< Rows; a reject counts as one, too.
    std::uint64_t to_compute = 0;
    /// Inputs that are to be computed, and why.
    struct Kind {
      std::uint64_t count = 0;
      std::vector<std::string> examples;  ///< Keys, three at most.
    };
    Kind changed;                  ///< Files that are not as they were when they were last read.
    Kind unseen;                   ///< Never read: they may turn out to have the content of another file.
    Kind other;                    ///< Their rows were computed before; this table has none of them.
    Kind fresh;                    ///< Their content is known, without having been computed before.
    std::uint64_t duplicates = 0;  ///< Of inputs that are to be computed: they share the row.
    std::optional<std::uint64_t> row_bytes;
  };
  /// `computed`: whether an earlier run has had the row of an id for a table.
  std::vector<Survey> survey(
      const std::function<bool(const RunTable& table, const Digest& row)>& computed = {});

  /// Lists the inputs, and finds those that would have to be computed, with MissingRows::Refuse; an input
  /// whose content is not known counts as one. Computes, reads and writes nothing. Instead of run().
  const MissingInputs& find_missing();
  /// After run() with MissingRows::Refuse: what it refused.
  const MissingInputs& missing() const { return missing_; }
  /// Entries that the source has given, those of other workers among them.
  std::uint64_t listed() const { return position_; }

  const Listing& listing() const { return listing_; }
  std::vector<RunTable>& tables() { return tables_; }
  const std::vector<RunTable>& tables() const { return tables_; }
  /// Whether it is known what became of the input: always, where the run is complete.
  bool reached(const ListedInput& input) const {
    return complete_ || input.reject ||
           (settled_ ? input.rows > 0 : input.content && missing_in_tables(input) == 0);
  }
  /// Inputs that ended in no table because of the interruption.
  bool complete() const { return complete_; }
  const FlowResult& flow() const { return result_; }

  // For progress, any thread.
  std::size_t total() const { return total_; }  ///< 0: unknown.
  std::size_t done() const { return reused_inputs_ + finished_inputs_; }
  std::size_t reused() const { return reused_inputs_; }
  std::size_t rejected() const { return rejected_inputs_; }
  /// Commits what has been computed so far. False: not all of it could be, or not in time. Any thread.
  bool commit_now() noexcept;

 private:
  struct ListedEntry;

  std::shared_ptr<InFlightEntry> next() override;
  std::shared_ptr<InFlightEntry> pull();
  Slot slot_of_entry(const Entry& entry) const;
  void note_missing(const ListedEntry& entry);
  void finished(const ListedEntry& entry, bool rejected);
  bool is_stored_reject(const ListedInput& input) const;
  void identify(ListedEntry& entry);
  void check_writable(const InFlightEntry& entry) const;
  bool load(InFlightEntry& in_flight, Payload& payload) override;
  const char* load_function() const override { return reader_->function(); }
  void collect(std::size_t stage, const Handle& message) override;
  void misbehaved(std::size_t stage, const std::string& item, const std::string& text) override;

  void open_source();
  void finish_stages();
  std::string fault_of_a_stage(const std::string& what) const;
  void make_stages(std::vector<Stage*>& stages, std::vector<Workers::Observed>& observed);
  void open_writer();
  std::uint64_t missing_in_tables(const ListedInput& input) const;
  std::uint64_t claim(const ListedInput& input, std::uint64_t missing);
  bool has_all(const RunTable& table, const ListedInput& input) const;
  std::uint64_t claim_missing(const ListedInput& input);
  void check_format(std::size_t table, const RowFormat& format, std::string_view key);
  /// The row of a live item, or nothing, and `reject`, where the collector refuses it.
  bool encode(std::size_t table, const Item& item, RowWriter::Job& job, std::optional<StoredReject>& reject);
  void count_view(const RunTable& table, ListedEntry& entry, bool rejected);
  void compute(Workers& workers);
  void finish_writer();
  /// Throws Error where a file that stages read is another one by now. Then no row counts that is not sealed.
  void require_same_files();
  /// Finds what became of every input, once nothing more is computed.
  Unaccounted settle_outcomes();
  /// Throws Error when some view of some input ended neither as a row nor as a reject.
  void verify_all_accounted();

  const Plan& plan_;
  const std::size_t source_index_;
  DigestMemo& memo_;
  StageFactory& factory_;
  Meter& meter_;
  const std::atomic<bool>& interrupted_;
  const MissingRows missing_rows_;
  SlotWork* const work_;
  bool identify_ = true;  // read what the memo does not know, where nothing can be computed
  std::uint64_t position_ = 0;
  MissingInputs missing_;

  Source* source_ = nullptr;
  std::optional<InputReader> reader_;
  ReadAhead read_ahead_;
  std::deque<std::shared_ptr<InFlightEntry>>
      ahead_;  // entries that next() will give, whose files are being read
  bool pulled_all_ = false, listed_all_ = false;
  std::size_t most_inputs_ = 0;  // 0: no limit
  KeyCheck keys_;
  Listing listing_;
  std::string class_with_separator_;  // empty: no class could be mistaken for two
  std::vector<RunTable> tables_;
  std::unique_ptr<RowWriter> writer_;
  std::shared_ptr<InFlightEntry> first_;  // found while looking whether there is anything to do
  std::mutex format_mutex_, reject_mutex_, writer_mutex_, claim_mutex_;
  std::unordered_set<Digest> replaced_;  // contents of files that were other ones when they were read
  std::vector<RowClaims> claims_;        // by table
  std::vector<bool> changed_;            // by input: the memo knows its path with another size or time
  std::vector<std::optional<std::pair<RowFormat, std::string>>>
      formats_;  // by table: format of this run's rows and the item that set it
  FlowResult result_;
  bool complete_ = false, settled_ = false;
  std::unique_ptr<std::atomic_flag[]> misbehaved_;  // by stage: people have been told
  std::atomic<std::size_t> total_{0}, reused_inputs_{0}, finished_inputs_{0}, rejected_inputs_{0};
};

}  // namespace graft
