// A program that fills the table of stored_rows.h and tells how far it is, for tests that kill it:
//
//   store_worker fill STORE ROWS ROWS_PER_SHARD ROWS_PER_COMMIT [SEED]   with a seed: pauses in between
//   store_worker check STORE ROWS [KNOWN]
//
// What is committed is told on stdout by write(2), which fault_injector sees: `committed K`: rows 0 to K - 1.

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include <graft/error.h>
#include <graft/random.h>

#include "stored_rows.h"

namespace graft::test {
namespace {

void say(const std::string& line) {
  const std::string text = line + "\n";
  if (::write(STDOUT_FILENO, text.data(), text.size()) < 0) std::abort();
}

void fill(const std::string& folder, std::uint64_t rows, std::uint64_t per_shard, std::uint64_t per_commit,
          std::uint64_t seed) {
  TableStore store(folder, stored_fingerprint());
  store.prepare_to_write();
  for (const std::string& w : store.warnings()) std::fprintf(stderr, "warning: %s\n", w.c_str());
  std::vector<std::uint64_t> missing;
  for (std::uint64_t i = 0; i < rows; ++i)
    if (!has_outcome(store, i)) missing.push_back(i);
  if (!missing.empty() && !store.can_write()) throw Error(store.read_only_reason());
  Random random(seed);
  for (std::size_t first = 0; first < missing.size(); first += per_shard) {
    RowWriter writer({&store});
    const auto tell = [&] {
      const std::size_t done = first + writer.committed();
      say("committed " + std::to_string(done < missing.size() ? missing[done] : rows));
    };
    const std::size_t end = std::min<std::size_t>(first + per_shard, missing.size());
    for (std::size_t at = first; at < end; ++at) {
      writer.push(stored_row(missing[at]));
      if ((at + 1) % per_commit != 0) continue;
      writer.commit_now();
      tell();
      if (seed != 0)
        std::this_thread::sleep_for(std::chrono::microseconds(static_cast<int>(random.uniform() * 4000)));
    }
    writer.finish();
    tell();
  }
  say("pushed " + std::to_string(missing.size()));
}

int run(int argc, char** argv) {
  const auto number = [&](int i, std::uint64_t otherwise) -> std::uint64_t {
    return i < argc ? std::stoull(argv[i]) : otherwise;
  };
  if (argc < 4) throw Error("arguments are missing");
  const std::string command = argv[1];
  if (command == "fill") {
    fill(argv[2], number(3, 0), number(4, 200), number(5, 32), number(6, 0));
    return 0;
  }
  const TableCheck check = check_table(argv[2], number(3, 0), number(4, number(3, 0)));
  if (!check.fault.empty()) throw Error(check.fault);
  say(check.digest);
  return 0;
}

}  // namespace
}  // namespace graft::test

int main(int argc, char** argv) try { return graft::test::run(argc, argv); } catch (const std::exception& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
