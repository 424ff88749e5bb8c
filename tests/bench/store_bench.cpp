// The feature store with synthetic rows, phase by phase, each a process of its own so that it shows its own
// peak of memory:
//
//   store_bench write DIR ROWS DIM            through RowWriter: logs with commits, sealed shards
//   store_bench plain FILE ROWS DIM SYNCS     the same bytes once, in one file, with as many syncs
//   store_bench read DIR ROWS DIM             in blocks, as learners read; twice, the second time is told

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <semaphore>
#include <string>

#include <fmt/format.h>

#include "store/row_writer.h"
#include "store/table_rows.h"

namespace {

using namespace graft;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kBlock = 1024;
constexpr std::ptrdiff_t kInFlight = 512;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double peak_mib() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

Fingerprint print_of(std::size_t dim) {
  Fingerprint f;
  f.description["made_by"] = "store_bench";
  f.description["dim"] = Value(std::uint64_t{dim});
  f.digest = digest(f.description.to_json());
  return f;
}

Digest id_of(std::uint64_t row) {
  return row_id(digest(&row, sizeof row), 0, "");
}

/// Values that do not compress: bits of a multiplicative generator, exponent of a number near 1.
void fill(std::uint64_t row, std::size_t dim, std::uint8_t* out) {
  std::uint64_t state = row * 0x9e3779b97f4a7c15ULL + 1;
  for (std::size_t i = 0; i < dim; ++i) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    const auto bits = static_cast<std::uint32_t>(0x3f000000u | (state >> 41));
    std::memcpy(out + 4 * i, &bits, 4);
  }
}

void report(const char* phase, double seconds, std::uint64_t bytes, const std::string& rest) {
  fmt::print("{:<6} {:7.2f} s {:7.0f} MB/s  peak {:4.0f} MiB  {}\n", phase, seconds,
             static_cast<double>(bytes) / seconds / 1e6, peak_mib(), rest);
}

int write(const std::string& folder, std::size_t rows, std::size_t dim) {
  const auto start = Clock::now();
  TableStore store(folder, print_of(dim));
  store.prepare_to_write();
  std::uint64_t commits = 0;
  {
    RowWriter writer({&store});
    // As the credits of a run: so many rows may be on their way to the disk.
    std::counting_semaphore<> credits(kInFlight);
    for (std::uint64_t row = 0; row < rows; ++row) {
      credits.acquire();
      RowWriter::Job job;
      job.id = id_of(row);
      job.sequence = row;
      job.format = {DType::F32, {static_cast<std::int64_t>(dim)}};
      job.payload.resize(dim * 4);
      fill(row, dim, job.payload.data());
      job.keep = std::shared_ptr<const void>(&credits, [](auto* c) { c->release(); });
      writer.push(std::move(job));
    }
    writer.finish();
    commits = writer.commits();
  }
  report("write", seconds_since(start), rows * dim * 4, fmt::format("commits {}", commits));
  return 0;
}

int plain(const std::string& path, std::size_t rows, std::size_t dim, std::size_t syncs) {
  const auto start = Clock::now();
  const FileHandle file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  std::vector<std::uint8_t> block(kBlock * dim * 4);
  std::size_t synced = 0;
  for (std::uint64_t row = 0; row < rows; row += kBlock) {
    const std::size_t n = std::min<std::size_t>(kBlock, rows - row);
    for (std::size_t i = 0; i < n; ++i) fill(row + i, dim, block.data() + i * dim * 4);
    // A sync after every (rows / syncs)-th row, as far as blocks are cut.
    std::size_t at = 0;
    while (at < n) {
      const std::size_t next = (synced + 1) * rows / syncs;
      const std::size_t until = std::min<std::size_t>(n, std::max<std::size_t>(next - row, at + 1));
      write_all(file.get(), {block.data() + at * dim * 4, (until - at) * dim * 4}, path);
      if (row + until >= next) {
        sync_file(file.get(), path);
        ++synced;
      }
      at = until;
    }
  }
  sync_file(file.get(), path);
  report("plain", seconds_since(start), rows * dim * 4, fmt::format("syncs {}", synced));
  return 0;
}

int read(const std::string& folder, std::size_t rows, std::size_t dim) {
  const auto opened = Clock::now();
  const TableStore store(folder, print_of(dim));
  Listing listing;
  std::vector<TableRow> places;
  places.reserve(rows);
  for (std::uint64_t row = 0; row < rows; ++row) {
    const auto place = store.find_row(id_of(row));
    if (!place) {
      fmt::print(stderr, "row {} is missing\n", row);
      return 1;
    }
    places.push_back({static_cast<std::uint32_t>(row), 0, *place});
  }
  fmt::print("open and find every row: {:.2f} s\n", seconds_since(opened));
  const TableRows table(store, listing, std::move(places));
  std::vector<float> block(kBlock * dim), wanted(dim);
  for (int round = 0; round < 2; ++round) {
    const auto start = Clock::now();
    for (std::size_t row = 0; row < rows; row += kBlock) {
      const std::size_t n = std::min(kBlock, rows - row);
      table.read(row, n, block.data());
      fill(row, dim, reinterpret_cast<std::uint8_t*>(wanted.data()));
      if (std::memcmp(block.data(), wanted.data(), dim * 4) != 0) {
        fmt::print(stderr, "row {} reads back another\n", row);
        return 1;
      }
    }
    if (round == 1) report("read", seconds_since(start), rows * dim * 4, "");
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  const auto number = [&](std::size_t i) { return static_cast<std::size_t>(std::stoull(arguments.at(i))); };
  try {
    const std::string& phase = arguments.at(0);
    if (phase == "write") return write(arguments.at(1), number(2), number(3));
    if (phase == "plain") return plain(arguments.at(1), number(2), number(3), number(4));
    if (phase == "read") return read(arguments.at(1), number(2), number(3));
  } catch (const std::exception& e) {
    fmt::print(stderr, "error: {}\n", e.what());
    return 1;
  }
  return 2;
}
