#pragma once

#include <string>
#include <vector>

#include <graft/value.h>
#include <network/architecture.h>
#include <network/engine.h>

/// What a network is made of, for the manifest and for reports: name, image (height, width), parameters,
/// multiply_adds, and `parts`: blocks, and the layers outside of blocks, in the order of computation, each
/// with name, type, layers, output, parameters and multiply_adds for one image of this size. Throws Error
/// where the image does not go through.
graft::Value network_facts(const graft::nn::Architecture& network, int height, int width);

/// The same of a TorchScript file whose operations are not all known: name, parameters, and `parts`: modules,
/// each with name, type and parameters.
graft::Value network_facts(const std::string& name, const std::vector<graft::nn::ScriptModule>& modules);
