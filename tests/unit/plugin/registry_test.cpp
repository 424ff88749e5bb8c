#include "plugin/registry.h"

#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <tuple>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fake_plugins.h"

namespace graft {
namespace {

using ::testing::HasSubstr;

/// A folder with copies of tests/unit/plugin/wrong_plugin.cpp's library, each wrong as its name says.
class WrongPlugins {
 public:
  explicit WrongPlugins(const std::vector<std::string>& names) {
    for (const std::string& name : names) add(name);
  }
  std::filesystem::path add(const std::string& name) const {
    const std::string from = name == "wrong_symbol" ? name : "wrong_plugin";
    std::filesystem::copy_file(std::string(GRAFT_WRONG_PLUGINS) + "/" + from + ".so",
                               folder_ / (name + ".so"));
    return folder_ / (name + ".so");
  }
  const test::TempFolder& folder() const { return folder_; }

 private:
  test::TempFolder folder_;
};

std::string text_of(const Refusal& why) {
  return "wanted " + why.wanted + ", got " + why.got + "; " + why.cure;
}

TEST(Registry, DescribesWithoutLoading) {
  const test::FakePlugins plugins(test::FakePlugins::usual());
  const Registry registry = plugins.registry();
  ASSERT_NE(registry.find("decode"), nullptr);
  EXPECT_EQ(registry.find("decode")->schema.summary, "Decodes.");
  EXPECT_TRUE(registry.rejected().empty()) << registry.rejected()[0].message();
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

// A wrong file of a folder affects neither the other files nor this process.
TEST(Registry, EveryWrongPluginIsRefusedByItself) {
  const std::string descriptor = std::to_string(sizeof(graft_plugin_descriptor));
  const std::string rebuild = "rebuild or install the plugin again, or remove it from the plugin folder";
  const std::string no_throw =
      "rebuild the plugin so that this does not throw, or remove it from the plugin folder";
  const std::string parts = "wanted a descriptor with name, version, schema and create, got one whose ";
  const std::string macro = "; declare the plugin with GRAFT_PLUGIN(...)";
  const std::string loads = "wanted a shared object that loads, got ";
  const std::string leaves = "wanted a library that leaves the process as it is, got ";
  const std::string remove = "; remove what does that, and build the plugin again";
  const std::map<std::string, std::string> expected = {
      {"wrong_symbol",
       "wanted the symbol graft_plugin, got a shared object without it; declare the plugin with "
       "GRAFT_PLUGIN(...), or remove the file from the plugin folder"},
      {"wrong_api", "wanted plugin API " + std::to_string(GRAFT_PLUGIN_API) +
                        ", got plugin API 99; update graft, or rebuild the plugin with its headers"},
      {"wrong_former_api", "wanted plugin API " + std::to_string(GRAFT_PLUGIN_API) + ", got plugin API " +
                               std::to_string(GRAFT_PLUGIN_API - 1) +
                               "; rebuild the plugin with the headers of this graft"},
      {"wrong_abi", "wanted ABI '" GRAFT_ABI_TAG
                    "', got ABI 'c++98 of another planet'; rebuild the plugin with the compiler and flags "
                    "that built graft"},
      {"wrong_null_abi", "wanted ABI '" GRAFT_ABI_TAG
                         "', got ABI ''; rebuild the plugin with the compiler and flags that built graft"},
      {"wrong_size", "wanted a descriptor of " + descriptor +
                         " bytes, got 8 bytes; rebuild the plugin with the headers of this graft"},
      {"wrong_null_descriptor", "wanted a descriptor of " + descriptor +
                                    " bytes, got none; rebuild the plugin with the headers of this graft"},
      {"wrong_name",
       "wanted a file named another_name.so, got wrong_name.so; a plugin's file has the plugin's name: "
       "rename it"},
      {"wrong_null_name", parts + "name is null" + macro},
      {"wrong_long_name", parts + "name is longer than 256 characters" + macro},
      {"wrong_wild_name", loads + "a crash (Segmentation fault) in graft_plugin(); " + rebuild},
      {"wrong_null_version", parts + "version is null" + macro},
      {"wrong_null_schema", parts + "schema function is null" + macro},
      {"wrong_null_create", parts + "create function is null" + macro},
      {"wrong_schema_name",
       "wanted the schema of wrong_schema_name 1.0.0, got one of 'of_another' '1.0.0'; declare the plugin "
       "with "
       "GRAFT_PLUGIN(...)"},
      {"wrong_schema_throws",
       "wanted a schema, got an exception from the schema's expression: one that is not a std::exception; "
       "rebuild the plugin so that its declaration does not throw"},
      {"wrong_schema_crashes", loads + "a crash (Segmentation fault) in its schema; " + rebuild},
      {"wrong_huge_schema",
       "wanted a schema, got more than 4 MiB: no schema takes that much; declare the plugin with "
       "GRAFT_PLUGIN(...)"},
      {"wrong_default",
       "wanted a schema without errors, got parameter 'n': the default: 500 is out of range: expected from "
       "1 to 10; give a default that a config could give, and rebuild the plugin"},
      {"wrong_static_throw",
       loads + "an exception from its static initialisers: no such device; " + no_throw},
      {"wrong_static_throw_int",
       loads + "an exception from its static initialisers: one that is not a std::exception; " + no_throw},
      {"wrong_static_locale", leaves + "one that calls setlocale: the locale was C and is C.UTF-8" + remove},
      {"wrong_static_folder", leaves + "one that changes the working folder from " +
                                  std::filesystem::current_path().string() + " to /" + remove},
      {"wrong_static_fast_math",
       leaves +
           "one that changes the floating-point mode of its thread (-ffast-math does, also in a library that "
           "is linked)" +
           remove},
      {"wrong_static_exit", loads + "a call to exit() when it is opened; " + rebuild},
      {"wrong_static_underscore_exit", loads + "an exit without an answer when it is opened; " + rebuild},
      {"wrong_static_abort", loads + "a crash (Aborted) when it is opened; " + rebuild},
      {"wrong_static_crash", loads + "a crash (Segmentation fault) when it is opened; " + rebuild},
      {"wrong_static_hang", loads + "no result after 8 s when it is opened; " + rebuild}};
  const WrongPlugins wrong({"well"});
  for (const auto& [name, why] : expected) wrong.add(name);

  const auto start = std::chrono::steady_clock::now();
  Registry registry({wrong.folder().path()});
  // The one that hangs is waited for once, while all others are looked at.
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(60));

  ASSERT_EQ(registry.plugins().size(), 1u);
  EXPECT_NO_THROW(registry.open("well"));
  EXPECT_EQ(registry.rejected().size(), expected.size());
  for (const auto& [name, why] : expected) {
    const Refusal* refused = registry.rejected_as(name);
    ASSERT_NE(refused, nullptr) << name;
    EXPECT_EQ(text_of(*refused), why) << name;
    EXPECT_EQ(refused->path, wrong.folder() / (name + ".so"));
  }
}

TEST(Registry, ALibraryThatNeedsAMissingOneIsRefusedWithItsName) {
  const WrongPlugins plugins({"well"});
  std::string library = test::slurp(plugins.folder() / "well.so");
  const std::string needed = "libgraft.so.0", absent = "libabsen.so.0";
  ASSERT_NE(library.find(needed), std::string::npos);
  for (std::size_t at; (at = library.find(needed)) != std::string::npos;)
    library.replace(at, needed.size(), absent);
  const test::TempFolder folder;
  folder.write("well.so", library);
  const Registry registry({folder.path()});
  ASSERT_NE(registry.rejected_as("well"), nullptr);
  EXPECT_EQ(text_of(*registry.rejected_as("well")),
            "wanted a shared object that loads, got " + absent +
                ": cannot open shared object file: No such file or directory; install the missing library or "
                "rebuild the plugin");
}

// The dynamic loader would crash: a part of the file that is mapped is not there.
TEST(Registry, ALibraryThatIsCutShortIsRefusedAtEveryLength) {
  const WrongPlugins plugins({"well"});
  const std::string whole = test::slurp(plugins.folder() / "well.so");
  const test::TempFolder folder;
  for (std::size_t part = 0; part < 40; ++part) {
    const std::size_t size = part * whole.size() / 40;
    folder.write("cut" + std::to_string(part) + ".so", whole.substr(0, size));
  }
  folder.write("cut40.so", whole.substr(0, whole.size() - 1));
  const Registry registry({folder.path()});
  EXPECT_TRUE(registry.plugins().empty());
  EXPECT_EQ(registry.rejected().size(), 41u);
  EXPECT_EQ(registry.rejected_as("cut0")->got, "an empty file");
  EXPECT_THAT(registry.rejected_as("cut20")->got, HasSubstr("it is truncated"));
  EXPECT_EQ(registry.rejected_as("cut40")->got, std::to_string(whole.size() - 1) + " bytes of " +
                                                    std::to_string(whole.size()) + ": it is truncated");
}

TEST(Registry, ALibraryThatIsCutShortIsRefusedBesideItsSchemaFile) {
  const test::FakePlugins plugins(test::FakePlugins::usual());
  std::filesystem::resize_file(plugins.place() / "decode.so", 40);
  const Registry registry = plugins.registry();
  EXPECT_EQ(registry.find("decode"), nullptr);
  EXPECT_NE(registry.find("net"), nullptr);
  ASSERT_NE(registry.rejected_as("decode"), nullptr);
  EXPECT_EQ(registry.rejected_as("decode")->wanted, "a shared object that loads");
}

TEST(Registry, AWorldWritablePluginIsRefused) {
  const WrongPlugins plugins({});
  const auto file = plugins.add("well");
  ::chmod(file.c_str(), 0777);
  Registry::Rejected why;
  EXPECT_EQ(load_plugin(file, why), nullptr);
  EXPECT_THAT(why.message(),
              HasSubstr("wanted a file that only its owner can change (plugins are code), got mode 777; "
                        "chmod go-w "));
}

TEST(Registry, APluginThatAGroupOfSeveralMayChangeIsRefused) {
  const WrongPlugins plugins({});
  const auto file = plugins.add("well");
  constexpr gid_t kUsers = 100;
  if (::chown(file.c_str(), -1, kUsers) != 0) GTEST_SKIP() << "only root may give a file to another group";
  ::chmod(file.c_str(), 0775);
  const Registry registry({plugins.folder().path()});
  ASSERT_NE(registry.rejected_as("well"), nullptr);
  EXPECT_EQ(text_of(*registry.rejected_as("well")),
            "wanted a file that only its owner can change (plugins are code), got mode 775; chmod g-w " +
                file.string());
}

PluginSchema schema_of_well() {
  return test::FakePlugins::named("well", PluginSchema::transform("Does nothing.")
                                              .input(PortType::Image, "Any image.")
                                              .output("out", PortType::Image, "u8[?,?,3]", "The same."));
}

std::string code_of(const std::filesystem::path& library) {
  return read_elf(library, true).code;
}

/// Schema files that say something else than the library, and the first difference as it is reported.
std::vector<std::tuple<PluginSchema, std::string, std::string>> lies_about_well() {
  std::vector<std::tuple<PluginSchema, std::string, std::string>> out;
  const auto lie = [&](const std::string& wanted, const std::string& got, auto&& change) {
    PluginSchema schema = schema_of_well();
    change(schema);
    out.emplace_back(std::move(schema), "wanted " + wanted + ", as well.so declares", got + " in well.json");
  };
  lie("summary \"Does nothing.\"", "\"Says something else.\"",
      [](PluginSchema& s) { s.summary = "Says something else."; });
  lie("version \"1.0.0\"", "\"2.0.0\"", [](PluginSchema& s) { s.version = "2.0.0"; });
  lie("no params.n", "one", [](PluginSchema& s) { s.param(integer("n", 5).doc("A number.")); });
  lie("outputs.out.shape \"u8[?,?,3]\"", "\"u8[2,2,3]\"",
      [](PluginSchema& s) { s.outputs[0].shape = "u8[2,2,3]"; });
  lie("no working_memory", "one", [](PluginSchema& s) { s.working_memory(1 << 20); });
  return out;
}

TEST(Registry, ASchemaFileThatSaysSomethingElseThanTheLibraryIsRefused) {
  for (const auto& [schema, wanted, got] : lies_about_well()) {
    const WrongPlugins plugins({"well"});
    plugins.folder().write("well.json", to_json({GRAFT_PLUGIN_API, GRAFT_ABI_TAG, schema}));
    const Registry registry({plugins.folder().path()});
    EXPECT_EQ(registry.find("well"), nullptr);
    ASSERT_NE(registry.rejected_as("well"), nullptr) << wanted;
    EXPECT_EQ(text_of(*registry.rejected_as("well")),
              wanted + ", got " + got + "; build the plugin again: well.json is stale or was changed");
  }
}

// One that claims to be of the very code of the library is believed until the plugin is opened.
TEST(Registry, ASchemaFileWithTheDigestOfTheLibraryIsComparedWhenThePluginIsOpened) {
  for (const auto& [schema, wanted, got] : lies_about_well()) {
    const WrongPlugins plugins({"well"});
    plugins.folder().write("well.json", to_json({GRAFT_PLUGIN_API, GRAFT_ABI_TAG, schema,
                                                 code_of(plugins.folder() / "well.so")}));
    const Registry registry({plugins.folder().path()});
    ASSERT_NE(registry.find("well"), nullptr) << registry.rejected()[0].message();
    try {
      registry.open("well");
      FAIL() << "opened a plugin whose schema file lies";
    } catch (const Error& e) {
      EXPECT_THAT(e.what(), HasSubstr(wanted + ", got " + got + "; build the plugin again"));
    }
  }
}

TEST(Registry, ASchemaFileThatWasEditedIsNotBelieved) {
  const WrongPlugins plugins({"well"});
  const auto write = [&](const std::string& from, const std::string& to) {
    std::string json =
        to_json({GRAFT_PLUGIN_API, GRAFT_ABI_TAG, schema_of_well(), code_of(plugins.folder() / "well.so")});
    json.replace(json.find(from), from.size(), to);
    plugins.folder().write("well.json", json);
    return Registry({plugins.folder().path()});
  };
  EXPECT_NE(write("Does nothing.", "Does nothing.").find("well"), nullptr);
  const Registry edited = write("Does nothing.", "Does a lot.");
  ASSERT_NE(edited.rejected_as("well"), nullptr);
  EXPECT_EQ(edited.rejected_as("well")->wanted, "summary \"Does nothing.\", as well.so declares");
  // Another form of the same text is no lie.
  EXPECT_NE(write("\n", "\n\n").find("well"), nullptr);
}

// The schema file is that of a good build; the library beside it has been replaced by one that crashes.
TEST(Registry, ALibraryThatChangedSinceItsSchemaWasWrittenIsExamined) {
  const WrongPlugins plugins({"wrong_static_crash"});
  PluginSchema schema = schema_of_well();
  schema.name = "wrong_static_crash";
  plugins.folder().write("wrong_static_crash.json",
                         to_json({GRAFT_PLUGIN_API, GRAFT_ABI_TAG, schema, "0123456789abcdef"}));
  const Registry registry({plugins.folder().path()});
  ASSERT_NE(registry.rejected_as("wrong_static_crash"), nullptr);
  EXPECT_EQ(registry.rejected_as("wrong_static_crash")->got,
            "a crash (Segmentation fault) when it is opened");
}

TEST(Registry, ASchemaFileOfAnotherApiIsRefusedWithoutLoading) {
  const test::TempFolder folder;
  folder.write("old.so", "never loaded");
  folder.write("old.json", to_json({GRAFT_PLUGIN_API + 1, GRAFT_ABI_TAG, test::FakePlugins::usual()[0]}));
  const Registry registry({folder.path()});
  ASSERT_EQ(registry.rejected().size(), 1u);
  EXPECT_EQ(registry.rejected()[0].got, "plugin API " + std::to_string(GRAFT_PLUGIN_API + 1));
}

TEST(Registry, SchemaFilesThatAreDamagedOrLieCostTheirPluginAlone) {
  const std::string good = to_json({GRAFT_PLUGIN_API, GRAFT_ABI_TAG, test::FakePlugins::usual()[1]});
  PluginSchema mistaken = test::FakePlugins::usual()[1];
  mistaken.params.push_back(integer("n", 500).range(1, 10).doc("Too much."));
  std::string number = good;
  number.replace(number.find("4096.0"), 6, "1e999");
  const std::map<std::string, std::pair<std::string, std::string>> cases = {
      {"cut", {good.substr(0, good.size() / 2), "not valid JSON at byte "}},
      {"empty", {"", "not valid JSON at byte "}},
      {"deep", {std::string(1 << 20, '['), "JSON nested more than 200 deep"}},
      {"nested", {std::string(1000, '[') + std::string(1000, ']'), "JSON nested more than 200 deep"}},
      {"huge", {std::string(5 << 20, ' '), "a file of 5242880 bytes"}},
      {"list", {"[]", "the schema file has no 'graft_schema'"}},
      {"number", {number, ": the number 1e999 is too large"}},
      {"another", {good, "one of 'decode'"}},
      {"mistaken",
       {to_json({GRAFT_PLUGIN_API, GRAFT_ABI_TAG, mistaken}),
        "parameter 'n': the default: 500 is out of range"}}};
  const test::FakePlugins plugins(test::FakePlugins::usual());
  for (const auto& [name, content] : cases) {
    plugins.place().write(name + ".so", test::FakePlugins::empty_library());
    std::string text = content.first;
    if (name == "mistaken") text.replace(text.find("\"decode\""), 8, "\"mistaken\"");
    plugins.place().write(name + ".json", text);
  }
  const Registry registry = plugins.registry();
  EXPECT_EQ(registry.plugins().size(), test::FakePlugins::usual().size());
  EXPECT_EQ(registry.rejected().size(), cases.size());
  for (const auto& [name, content] : cases) {
    ASSERT_NE(registry.rejected_as(name), nullptr) << name;
    EXPECT_THAT(registry.rejected_as(name)->got, HasSubstr(content.second)) << name;
  }
}

TEST(Registry, TheFirstOfANameWinsAndRemembersWhatItHides) {
  PluginSchema own = test::FakePlugins::usual()[1];
  own.summary = "Decodes in another way.";
  const test::FakePlugins first({own}), second(test::FakePlugins::usual());
  // A folder that is named twice does not hide its own plugins.
  const Registry registry({first.place().path(), second.place().path(), first.place() / "."});
  ASSERT_NE(registry.find("decode"), nullptr);
  EXPECT_EQ(registry.find("decode")->schema.summary, "Decodes in another way.");
  EXPECT_EQ(registry.warning_of("decode"), "plugin 'decode' is " + (first.place() / "decode.so").string() +
                                               ", which hides " + (second.place() / "decode.so").string() +
                                               ": the first in the search order is used");
  EXPECT_EQ(registry.warning_of("net"), "");
  EXPECT_EQ(registry.folders().size(), 2u);
}

TEST(Registry, APluginThatStandsForARefusedOneSaysSo) {
  const test::FakePlugins first({}), second(test::FakePlugins::usual());
  first.place().write("decode.so", "no library");
  const Registry registry({first.place().path(), second.place().path()});
  ASSERT_NE(registry.find("decode"), nullptr);
  EXPECT_THAT(registry.warning_of("decode"), HasSubstr(", because another file was refused: plugin file " +
                                                       (first.place() / "decode.so").string()));
}

}  // namespace
}  // namespace graft
