// classes PHOTOS NETWORK: learns to tell the classes of photographs, a folder per class, with a pretrained
// network. A pipeline without a config file.

#include <exception>
#include <iostream>
#include <string>

#include <graft/pipeline_builder.h>

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: classes PHOTOS NETWORK\n";
    return 2;
  }
  try {
    graft::PipelineBuilder pipeline("classes");
    pipeline.setting("max_rejects", "10%");
    pipeline.stage("images", "image_folder").with("root", argv[1]).with("test_fraction", 0.3);
    pipeline.stage("pixels", "decode").from("images");
    pipeline.stage("features", "backbone").from("pixels").with("model", argv[2]);
    pipeline.stage("table", "feature_table").from("features");
    graft::PipelineBuilder::Stage& report = pipeline.stage("report", "evaluate");
    for (const int neighbors : {1, 5}) {
      const std::string id = "knn" + std::to_string(neighbors);
      pipeline.stage(id, "knn").from("table").with("k", neighbors);
      report.from(id);
    }
    const graft::PipelineResult result = pipeline.run();
    std::cout << result.text;
    return result.exit_code;
  } catch (const std::exception& e) {
    std::cerr << "error: " << e.what() << '\n';
    return 1;
  }
}
