#pragma once

#include <elf.h>

#include <fstream>
#include <string>
#include <vector>

#include <graft/plugin.h>

#include "plugin/elf_file.h"
#include "plugin/registry.h"
#include "plugin/schema_file.h"
#include "temp_folder.h"

namespace graft::test {

/// A registry of plugins that exist as schema files alone: enough for everything that must not load a plugin.
class FakePlugins {
 public:
  explicit FakePlugins(const std::vector<PluginSchema>& schemas) {
    for (const PluginSchema& s : schemas) {
      folder_.write(s.name + ".so", empty_library());
      const std::string code = read_elf(folder_ / (s.name + ".so"), true).code;
      folder_.write(s.name + ".json", to_json({GRAFT_PLUGIN_API, GRAFT_ABI_TAG, s, code}));
    }
  }
  Registry registry() const { return Registry({folder_.path()}); }
  const TempFolder& place() const { return folder_; }

  /// The header of a shared object without content: loading it would fail.
  static std::string empty_library() {
    Elf64_Ehdr header{};
    std::ifstream("/proc/self/exe", std::ios::binary).read(reinterpret_cast<char*>(&header), sizeof header);
    header.e_type = ET_DYN;
    header.e_phoff = header.e_phnum = header.e_shoff = header.e_shnum = 0;
    return {reinterpret_cast<const char*>(&header), sizeof header};
  }

  static PluginSchema named(std::string name, PluginSchema schema) {
    schema.name = std::move(name);
    schema.version = "1.0.0";
    return schema;
  }
  /// files -> bytes, decode -> image, net -> tensor, table, learn -> predictor, judge.
  static std::vector<PluginSchema> usual() {
    return {
        named("files", PluginSchema::source("Lists files.")
                           .output("out", PortType::Bytes, "", "Files.")
                           .param(folder("root").required().doc("Where they are."))),
        named("decode", PluginSchema::transform("Decodes.")
                            .input(PortType::Bytes, "Files.")
                            .output("out", PortType::Image, "u8[{crop},{crop},3]", "Pixels.")
                            .param(file("network")
                                       .or_name({"resnet18", "resnet34", "vgg16"})
                                       .optional()
                                       .stands_for({"crop", "filter"})
                                       .default_from_downstream({"architecture", "model"}, {"crop"})
                                       .doc("What the pixels are for."))
                            .param(integer("crop", 224).range(1, 4096).unit("px").doc("Side."))
                            .param(choice("filter", {"bilinear", "bicubic"}, "bilinear").doc("Kernel."))
                            .working_memory(1 << 16, 2.5)),
        named("views", PluginSchema::transform("Makes views.")
                           .input(PortType::Image, "Pixels.")
                           .output("out", PortType::Image, "u8[?,?,3]", "Pixels.")
                           .param(integer("views", 1).range(1, 100).doc("Views."))
                           .views_from("views")
                           .depends_on_key()
                           .depends_on_seed()),
        named(
            "net",
            PluginSchema::batch_transform("Runs a network.")
                .input(PortType::Image, "Pixels.")
                .output("out", PortType::Tensor, "f32[?]", "Features.")
                .output("early", PortType::Tensor, "f32[?]", "Early features.")
                .param(file("model").required().doc("Weights."))
                .param(text("architecture").optional().doc("Their network."))
                .param(integer("batch", 8).range(1, 512).not_in_fingerprint().doc("Batch."))
                .param(
                    object(
                        "normalize",
                        {list("mean", number("")).or_scalar().items(1, 3).default_list({0.5}).doc("Mean."),
                         list("std", number("")).or_scalar().items(1, 3).default_list({0.5}).doc("Spread.")})
                        .doc("Scaling."))),
        named("taps", PluginSchema::batch_transform("Runs a network and looks into it.")
                          .input(PortType::Image, "Pixels.")
                          .output("{taps}", PortType::Tensor, "f32[?]", "Features of a layer.")
                          .param(list("taps", text("")).or_scalar().not_in_fingerprint().doc("Layers."))),
        named("runner", PluginSchema::batch_transform("Runs a network by an engine.")
                            .input(PortType::Image, "Pixels.")
                            .output("out", PortType::Tensor, "f32[?]", "Features.")
                            .param(service("engine", "fast").doc("Who runs it."))),
        named("engine_fast", PluginSchema::service("Fast.").may_need("engine_exact").uses_libraries("lib 2")),
        named("engine_exact", PluginSchema::service("Exact.")),
        named("table", PluginSchema::collector("Keeps rows.")
                           .input(PortType::Tensor, "Features.")
                           .output("out", PortType::Table, "?", "Rows.")),
        named("learn", PluginSchema::learner("Learns.")
                           .input(PortType::Table, "Rows.", true)
                           .output("out", PortType::Predictor, "", "A model.")
                           .param(number("rate", 0.1).range(0, 1).doc("Step."))),
        named("judge", PluginSchema::report("Judges.").input(PortType::Predictor, "Models.", true)),
    };
  }

 private:
  TempFolder folder_;
};

}  // namespace graft::test
