// classify MODEL IMAGE...: what a trained model makes of images. No config, no store, no Python.

#include <exception>
#include <iostream>
#include <vector>

#include <graft/model.h>

int main(int argc, char** argv) {
  if (argc < 3) {
    std::cerr << "usage: classify MODEL IMAGE...\n";
    return 2;
  }
  try {
    const graft::Model model(argv[1]);
    std::vector<graft::ImageInput> images;
    for (int i = 2; i < argc; ++i) images.push_back(graft::ImageInput::file(argv[i]));
    int rejected = 0;
    const std::vector<graft::ImagePrediction> predictions = model.predict(images);
    for (std::size_t i = 0; i < images.size(); ++i) {
      const graft::ImagePrediction& p = predictions[i];
      std::cout << images[i].name << ": ";
      if (p.rejected) {
        ++rejected;
        std::cout << p.rejected->code << ": " << p.rejected->text << '\n';
      } else {
        std::cout << model.classes()[p.best()] << " (" << p.scores[p.best()] << ")\n";
      }
    }
    return rejected == 0 ? 0 : 3;
  } catch (const std::exception& e) {
    std::cerr << "error: " << e.what() << '\n';
    return 1;
  }
}
