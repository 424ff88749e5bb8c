#include "store/row_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <graft/error.h>
#include <graft/random.h>

#include "store/crc32c.h"
#include "temp_folder.h"

namespace graft {
namespace {

using test::slurp;
using test::TempFolder;
using ::testing::HasSubstr;

const RowFormat kLogFormat{DType::F32, {4}};

std::vector<std::uint8_t> row(std::uint64_t i) {
  std::vector<std::uint8_t> bytes(16);
  Random random(i);
  for (auto& b : bytes) b = static_cast<std::uint8_t>(random.below(256));
  return bytes;
}

LogScan scan_row_log(const std::filesystem::path& path, const std::function<void(const RowRecord&)>& visit) {
  return LogReader(path).scan([&](const RowRecord& record, std::uint64_t) { visit(record); });
}

std::filesystem::path write_log(const TempFolder& folder, std::uint64_t rows) {
  RowLog log = RowLog::create(folder / "a.rows", kLogFormat);
  for (std::uint64_t i = 0; i < rows; ++i) {
    const auto payload = row(i);
    log.append({{0, i}, i, true, payload});
  }
  const auto reject = encode_reject({"decode", "truncated", "it ends too early"});
  log.append({{1, 0}, rows, false, reject});
  log.sync();
  return log.path();
}

TEST(Crc32c, MatchesTheStandardVectorAndTheTable) {
  EXPECT_EQ(crc32c("123456789", 9), 0xe3069283u);  // RFC 3720, B.4 polynomial check value
  Random random(1);
  for (int n = 0; n < 200; ++n) {
    std::vector<std::uint8_t> data(random.below(300));
    for (auto& b : data) b = static_cast<std::uint8_t>(random.below(256));
    EXPECT_EQ(crc32c(data.data(), data.size(), 5), crc32c_portable(data.data(), data.size(), 5));
  }
}

TEST(RowLog, GivesBackWhatWasAppended) {
  const TempFolder folder;
  const auto path = write_log(folder, 1000);
  std::uint64_t n = 0;
  const LogScan scan = scan_row_log(path, [&](const RowRecord& r) {
    if (r.ok) {
      EXPECT_EQ(r.id, (Digest{0, n}));
      EXPECT_EQ(std::vector<std::uint8_t>(r.payload.begin(), r.payload.end()), row(n));
      ++n;
    } else {
      const StoredReject reject = decode_reject(r.payload);
      EXPECT_EQ(reject.stage + "|" + reject.code + "|" + reject.text, "decode|truncated|it ends too early");
    }
  });
  EXPECT_EQ(n, 1000u);
  EXPECT_EQ(scan.records, 1001u);
  EXPECT_EQ(LogReader(path).format(), kLogFormat);
  EXPECT_EQ(scan.damaged, 0u);
}

TEST(RowLog, EveryTruncationKeepsExactlyTheWholeRecords) {
  const TempFolder folder;
  const std::string whole = slurp(write_log(folder, 5));
  const std::size_t record = 40 + 256;
  ASSERT_EQ(whole.size(), RowLog::kHeaderBytes + 6 * record);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto path = folder.write("cut.rows", whole.substr(0, size));
    if (size < RowLog::kHeaderBytes) {
      EXPECT_THROW(scan_row_log(path, [](const RowRecord&) {}), Error);
      continue;
    }
    std::uint64_t n = 0;
    const LogScan scan = scan_row_log(path, [&](const RowRecord&) { ++n; });
    EXPECT_EQ(n, (size - RowLog::kHeaderBytes) / record);
    EXPECT_EQ(scan.torn_tail, (size - RowLog::kHeaderBytes) % record != 0);
  }
}

TEST(RowLog, EveryBitFlipIsFound) {
  const TempFolder folder;
  const std::string whole = slurp(write_log(folder, 20));
  Random random(3);
  for (int trial = 0; trial < 300; ++trial) {
    std::string bad = whole;
    const std::size_t at = random.below(bad.size());
    bad[at] = static_cast<char>(bad[at] ^ (1 << random.below(8)));
    const auto path = folder.write("flip.rows", bad);
    if (at < RowLog::kHeaderBytes) {
      EXPECT_THROW(scan_row_log(path, [](const RowRecord&) {}), Error) << at;
      continue;
    }
    std::uint64_t good = 0;
    const LogScan scan = scan_row_log(path, [&](const RowRecord& r) {
      ++good;
      if (r.ok) {
        EXPECT_EQ(std::vector<std::uint8_t>(r.payload.begin(), r.payload.end()), row(r.id.low));
      }
    });
    EXPECT_EQ(scan.damaged, 1u) << at;
    EXPECT_EQ(good, 20u);
  }
}

TEST(RowLog, ErrorsNameTheFile) {
  const TempFolder folder;
  write_log(folder, 1);
  EXPECT_THROW(RowLog::create(folder / "a.rows", kLogFormat), Error);
  try {
    RowLog::create(folder / "no" / "such" / "a.rows", kLogFormat);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(std::string(e.what()),
              "cannot create " + (folder / "no/such/a.rows").string() + ": No such file or directory");
  }
}

TEST(Reject, ALongReasonIsCutNotLost) {
  const auto payload = encode_reject({"stage", "code", std::string(5000, 'x')});
  EXPECT_LE(payload.size(), 256u);
  const StoredReject back = decode_reject(payload);
  EXPECT_EQ(back.stage, "stage");
  EXPECT_EQ(back.code, "code");
  EXPECT_GT(back.text.size(), 200u);
}

}  // namespace
}  // namespace graft
