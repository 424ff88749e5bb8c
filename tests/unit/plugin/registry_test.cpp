#include "plugin/registry.h"

#include <sys/stat.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fake_plugins.h"

namespace graft {
namespace {

using ::testing::HasSubstr;

TEST(Registry, DescribesWithoutLoading) {
  const test::FakePlugins plugins(test::FakePlugins::usual());
  const Registry registry = plugins.registry();
  ASSERT_NE(registry.find("decode"), nullptr);
  EXPECT_EQ(registry.find("decode")->schema.summary, "Decodes.");
  EXPECT_TRUE(registry.rejected().empty());
  EXPECT_EQ(registry.find("nothing"), nullptr);
}

TEST(Registry, AFileThatIsNoLibraryIsRefusedWithTheReason) {
  const test::TempFolder folder;
  const auto file = folder.write("broken.so", std::string(4096, 'x'));
  const Registry registry({folder.path()});
  ASSERT_EQ(registry.rejected().size(), 1u);
  const auto& r = registry.rejected()[0];
  EXPECT_EQ(r.path, file);
  EXPECT_EQ(r.wanted, "a shared object that loads");
  EXPECT_THAT(r.got, HasSubstr("invalid ELF header"));
  EXPECT_EQ(registry.rejected_as("broken"), &r);
}

// Shared objects made by tests/unit/CMakeLists.txt, each wrong in one way.
std::string refusal(const std::string& name) {
  Registry::Rejected why;
  EXPECT_EQ(load_plugin(std::string(GRAFT_WRONG_PLUGINS) + "/" + name + ".so", why), nullptr);
  return "wanted " + why.wanted + ", got " + why.got + "; " + why.cure;
}

TEST(Registry, GateComparesSymbolSizeApiAbiAndName) {
  EXPECT_EQ(refusal("wrong_symbol"),
            "wanted the symbol graft_plugin, got a shared object without it; declare the plugin with "
            "GRAFT_PLUGIN(...), or remove the file from the plugin folder");
  EXPECT_EQ(refusal("wrong_api"),
            "wanted plugin API 5, got plugin API 99; update graft, or rebuild the plugin with its headers");
  EXPECT_EQ(refusal("wrong_abi"),
            "wanted ABI '" GRAFT_ABI_TAG
            "', got ABI 'c++98 of another planet'; rebuild the plugin with the compiler and flags "
            "that built graft");
  EXPECT_EQ(refusal("wrong_size"),
            "wanted a descriptor of " + std::to_string(sizeof(graft_plugin_descriptor)) +
                " bytes, got 8 bytes; rebuild the plugin with the headers of this graft");
  EXPECT_EQ(refusal("wrong_name"),
            "wanted a file named another_name.so, got wrong_name.so; a plugin's file has the plugin's name: "
            "rename it");
}

TEST(Registry, AWorldWritablePluginIsRefused) {
  const test::TempFolder folder;
  const auto file = folder / "wrong_api.so";
  std::filesystem::copy_file(std::string(GRAFT_WRONG_PLUGINS) + "/wrong_api.so", file);
  ::chmod(file.c_str(), 0777);
  Registry::Rejected why;
  EXPECT_EQ(load_plugin(file, why), nullptr);
  EXPECT_THAT(why.message(),
              HasSubstr("wanted a file that only its owner can change (plugins are code), got mode 777; "
                        "chmod o-w "));
}

TEST(Registry, AStaleSchemaFileIsFoundWhenThePluginIsOpened) {
  const test::TempFolder folder;
  std::filesystem::copy_file(std::string(GRAFT_WRONG_PLUGINS) + "/well.so", folder / "well.so");
  PluginSchema other = test::FakePlugins::named("well", PluginSchema::transform("Says something else."));
  folder.write("well.json", to_json({GRAFT_PLUGIN_API, GRAFT_ABI_TAG, other}));
  Registry registry({folder.path()});
  try {
    registry.open("well");
    FAIL() << "opened a plugin whose schema file is stale";
  } catch (const Error& e) {
    EXPECT_THAT(e.what(),
                HasSubstr("wanted the schema in well.json, got a plugin that declares another one; rebuild "
                          "the plugin: the file is stale"));
  }
}

TEST(Registry, ASchemaFileOfAnotherApiIsRefusedWithoutLoading) {
  const test::TempFolder folder;
  folder.write("old.so", "never loaded");
  folder.write("old.json", to_json({GRAFT_PLUGIN_API + 1, GRAFT_ABI_TAG, test::FakePlugins::usual()[0]}));
  const Registry registry({folder.path()});
  ASSERT_EQ(registry.rejected().size(), 1u);
  EXPECT_EQ(registry.rejected()[0].got, "plugin API 6");
}

}  // namespace
}  // namespace graft
