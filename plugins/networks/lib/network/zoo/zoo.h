#pragma once

#include <functional>
#include <string>
#include <vector>

#include <network/architecture.h>

namespace graft::nn::zoo {

/// A network that can be made by name.
struct Model {
  std::string name;
  std::function<Architecture(const std::string& name, const Options& options)> make;
  bool has_width = false;
};

std::vector<Model> resnets();
std::vector<Model> cifar_resnets();
std::vector<Model> vggs();
std::vector<Model> mobilenets_v1();
std::vector<Model> mobilenets_v2();
std::vector<Model> efficientnets();
std::vector<Model> lenets();

}  // namespace graft::nn::zoo
