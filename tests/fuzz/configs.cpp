#include <cmath>
#include <cstring>
#include <filesystem>
#include <stdexcept>

#include <graft/params.h>
#include <graft/value.h>

#include "config/config_file.h"
#include "config/planner.h"
#include "config/sweep_points.h"
#include "config/yaml_tree.h"
#include "fake_plugins.h"
#include "fuzz.h"
#include "plugin/elf_file.h"
#include "plugin/schema_file.h"
#include "run/table_changes.h"

namespace graft::fuzz {
namespace {

void require(bool holds, const char* what) {
  if (!holds) throw std::logic_error(what);
}

void json(std::string_view input) {
  const Value value = Value::from_json(input);
  require(Value::from_json(value.to_json()) == value, "a JSON value changes when it is written and read");
  require(Value::from_json(value.to_json_pretty()) == value,
          "a JSON value changes when it is written nicely");
}

void yaml(std::string_view input) {
  Diagnostics diagnostics;
  const YamlNode tree = parse_yaml(input, diagnostics.add_file("a.yaml", std::string(input)), diagnostics);
  diagnostics.render();
  diagnostics.render_json();
  to_value(tree);
}

const Registry& plugins() {
  static const test::FakePlugins kFakes(test::FakePlugins::usual());
  static const Registry kRegistry = kFakes.registry();
  return kRegistry;
}

void plan(const std::filesystem::path& path, const std::vector<std::string>& overrides) {
  Diagnostics diagnostics;
  const ConfigFile config(path, overrides, diagnostics);
  const Plan plan = make_plan(config, plugins(), diagnostics, Inspect::Nothing);
  diagnostics.render();
  if (diagnostics.has_errors()) return;
  for (std::size_t i = 0; i < plan.stages.size(); ++i)
    for (std::size_t port = 0; port < plan.stages[i].schema.outputs.size(); ++port)
      bytes_of_shape(output_shape(plan.stages[i], port));
  // What a run keeps of its config is a config of the same plan.
  const std::string kept = to_yaml(plan);
  Diagnostics again;
  const ConfigFile config_again(write_scratch(kept, "kept.yaml"), {}, again);
  const Plan plan_again = make_plan(config_again, plugins(), again, Inspect::Nothing);
  if (again.has_errors()) throw std::logic_error("a resolved config is wrong: " + again.render() + kept);
  require(to_yaml(plan_again) == kept, "a resolved config is resolved to another one");
}

constexpr const char* kConfig = R"(name: good
seed: 7
run: {threads: 2, memory: 1.5GiB, max_rejects: 3%, stall_limit: never}
stages:
  judge: {plugin: judge, from: learn}
  learn: {plugin: learn, from: [table], with: {rate: 0.25}}
  table: {plugin: table, from: net.early, splits: [train, val]}
  net: {plugin: net, from: pixels, with: {model: a.yaml, batch: 4, normalize: {mean: 0.1, std: [1, 2, 3]}}}
  pixels: {plugin: decode, from: images, with: {crop: "${GRAFT_NO_SUCH_NAME:-32}", filter: bicubic}}
  images: {plugin: files, with: {root: .}}
)";

void config(std::string_view input) {
  plan(write_scratch(input, "a.yaml"), {});
}

// What the command line lays over a sound config, an argument a line.
void overrides(std::string_view input) {
  std::vector<std::string> arguments;
  for (Pieces in(input); in.more();) arguments.emplace_back(in.until('\n'));
  plan(write_scratch(kConfig, "base.yaml"), arguments);
}

// Grids, an argument a line, and after an empty line a list.
void sweep(std::string_view input) {
  std::vector<std::string> grids;
  Pieces in(input);
  for (std::string_view line; !(line = in.until('\n')).empty();) grids.emplace_back(line);
  Diagnostics diagnostics;
  sweep_points(grids, in.more() ? write_scratch(in.rest(), "list.yaml") : std::filesystem::path(),
               diagnostics);
  diagnostics.render();
}

// Short texts that stand for something: shapes, variables, names.
void words(std::string_view input) {
  const std::string text(input);
  bytes_of_shape(text);
  std::vector<std::string> faults;
  expand_variables(text, faults);
  split_from(input);
  nearest(input.substr(0, 100), {"train", "val", "test"});
}

void schema_file(std::string_view input) {
  const SchemaFile file = schema_file_from_json(input);
  std::vector<ParamFault> faults;
  resolve(file.schema.params, Value::map(), faults);
  to_json(file);
}

void elf(std::string_view input) {
  const auto path = write_scratch(input);
  read_elf(path, true);
  mapped_size(path);
}

std::vector<std::string> json_seeds() {
  return {R"({"a": [1, -2.5e3, true, null, "\u00e9\n"], "b": {"c": []}})", "[]", "9223372036854775807",
          "-0.0", R"([[["x"]]])"};
}

std::vector<std::string> yaml_seeds() {
  return {kConfig,
          "a: |\n  text\n  more\nb: >-\n  folded\nc: 'it''s'\n",
          "[1, 0x1f, 1e3, .inf, ~, yes, \"1\"]",
          "- a\n- {b: c}\n- - d\n",
          "? [k]\n: v\n",
          "&a x",
          "!!str 1",
          "a: 1\na: 2\n",
          ("\xef\xbb\xbf"
           "a: \xc3\xa9")};
}

std::vector<std::string> config_seeds() {
  std::vector<std::string> out = {kConfig, "extends: a.yaml\n", "stages: {a: {plugin: files, from: a}}"};
  for (const char* name : {"quickstart", "hymenoptera", "which-backbone"})
    out.push_back(project_file(std::string("configs/") + name + ".yaml"));
  return out;
}

std::vector<std::string> override_seeds() {
  return {"pixels.crop=48\nrun.threads=1\nname=x", "learn.with={rate: 0.5}\ntable.from=net",
          "net.normalize.mean=[0.1, 0.2, 0.3]\nrun.memory=1.5 GB\nseed=18446744073709551615",
          "learn.plugin=judge\nrun.max_rejects=50%\nrun.in_flight=1e3\nrun.stall_limit=5"};
}

std::vector<std::string> sweep_seeds() {
  return {"learn.rate=0.1,0.2\npixels.crop=[32, 48]",
          "\n- {learn.rate: 1, seed: 2}\n- {learn.plugin: judge}\n", "seed=1,2,3\n\n- {pixels.crop: 32}\n"};
}

std::vector<std::string> word_seeds() {
  return {"u8[224,224,3]", "f32[?]", "f16[512]", "${HOME}", "${NONE:-x}$${y}", "${", "trian"};
}

std::vector<std::string> schema_seeds() {
  std::vector<std::string> out;
  for (const PluginSchema& schema : test::FakePlugins::usual())
    out.push_back(to_json({GRAFT_PLUGIN_API, GRAFT_ABI_TAG, schema}));
  return out;
}

// A head, a loadable segment, and a table of one symbol.
std::vector<std::string> elf_seeds() {
  const std::string head = test::FakePlugins::empty_library();
  Elf64_Ehdr header;
  std::memcpy(&header, head.data(), sizeof header);
  header.e_phoff = sizeof header;
  header.e_phnum = 1;
  header.e_shoff = sizeof header + sizeof(Elf64_Phdr);
  header.e_shnum = 2;
  Elf64_Phdr segment{};
  segment.p_type = PT_LOAD;
  segment.p_flags = PF_X | PF_R;
  segment.p_filesz = segment.p_memsz = sizeof header;
  Elf64_Shdr sections[2] = {};
  const std::size_t end = header.e_shoff + sizeof sections;
  sections[0].sh_type = SHT_DYNSYM;
  sections[0].sh_link = 1;
  sections[0].sh_offset = end;
  sections[0].sh_size = sizeof(Elf64_Sym);
  sections[1].sh_type = SHT_STRTAB;
  sections[1].sh_offset = end + sizeof(Elf64_Sym);
  sections[1].sh_size = 14;
  Elf64_Sym symbol{};
  symbol.st_name = 1;
  symbol.st_shndx = 1;
  const auto raw = [](const auto& value) {
    return std::string(reinterpret_cast<const char*>(&value), sizeof value);
  };
  return {head,
          raw(header) + raw(segment) + raw(sections) + raw(symbol) + std::string("\0graft_plugin\0", 14)};
}

// As many segments as fit, each of which is the whole file.
std::string grown_elf(std::size_t bytes) {
  std::string out = test::FakePlugins::empty_library();
  Elf64_Ehdr header;
  std::memcpy(&header, out.data(), sizeof header);
  const std::size_t segments = std::min<std::size_t>(bytes / sizeof(Elf64_Phdr), 65535);
  header.e_phoff = sizeof header;
  header.e_phnum = static_cast<Elf64_Half>(segments);
  Elf64_Phdr segment{};
  segment.p_type = PT_LOAD;
  segment.p_flags = PF_X;
  segment.p_filesz = sizeof header + segments * sizeof segment;
  std::memcpy(out.data(), &header, sizeof header);
  for (std::size_t i = 0; i < segments; ++i)
    out.append(reinterpret_cast<const char*>(&segment), sizeof segment);
  return out;
}

std::string grown_json(std::size_t bytes) {
  return "[[]" + repeated(",[]", bytes) + "]";
}

std::string grown_yaml(std::size_t bytes) {
  return repeated("- {a: [b, c]}\n", std::min<std::size_t>(bytes, 1'000'000));
}

// A few hundred stages, and names that none of them has, each of which is told with those that are there.
std::string grown_config(std::size_t bytes) {
  bytes = std::min<std::size_t>(bytes, 1'000'000);
  std::string out = "name: many\nstages:\n";
  for (std::size_t i = 0; out.size() < bytes / 2; ++i)
    out += "  s" + std::to_string(i) + std::string(bytes / 1200, 'x') + ": {plugin: decode}\n";
  return out + "  last: {plugin: learn, from: [z" + repeated(",\n    z", bytes / 2) + "]}\n";
}

std::string grown_schema(std::size_t bytes) {
  std::string out = schema_seeds().front();
  const std::size_t at = out.find("\"needs\": [") + 10;
  return out.insert(at, "\"x\"" + repeated(",\"x\"", bytes));
}

}  // namespace

std::vector<Target> config_targets() {
  return {
      {"json", json, json_seeds, grown_json},
      {"yaml", yaml, yaml_seeds, grown_yaml},
      {"config", config, config_seeds, grown_config, 8192},
      {"overrides", overrides, override_seeds, nullptr, 2048},
      {"sweep", sweep, sweep_seeds, nullptr, 4096},
      {"words", words, word_seeds, [](std::size_t bytes) { return repeated("${X:-", bytes); }, 256},
      {"schema_file", schema_file, schema_seeds, grown_schema},
      {"elf", elf, elf_seeds, grown_elf, 8192},
  };
}

}  // namespace graft::fuzz
