#include "store/manifest.h"

#include <gtest/gtest.h>

#include "temp_folder.h"

namespace graft {
namespace {

using test::TempFolder;

TEST(Manifest, EntriesAreNewOnceAndMissingOnesAreLookedForAgain) {
  const TempFolder folder;
  std::filesystem::create_directories(folder / "manifest");
  SeenEntries seen;
  const auto numbers = [&] {
    std::vector<std::uint64_t> out;
    for (const auto& [number, path] : new_entries(folder.path(), seen)) out.push_back(number);
    return out;
  };
  using Numbers = std::vector<std::uint64_t>;
  EXPECT_EQ(numbers(), Numbers());
  folder.write("manifest/00000001", "");
  folder.write("manifest/00000004", "");
  EXPECT_EQ(numbers(), (Numbers{1, 4}));
  EXPECT_EQ(numbers(), Numbers());
  folder.write("manifest/00000003", "");
  folder.write("manifest/00000005", "");
  EXPECT_EQ(numbers(), (Numbers{3, 5}));
  folder.write("manifest/18446744073709551614", "");  // of somebody else
  EXPECT_EQ(numbers(), Numbers{18446744073709551614u});
  folder.write("manifest/00000002", "");
  EXPECT_EQ(numbers(), Numbers{2});
}

}  // namespace
}  // namespace graft
