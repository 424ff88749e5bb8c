#pragma once

#include <graft/value.h>
#include <network/architecture.h>

/// What a network is made of, for the manifest and for reports: name, image (height, width), parameters,
/// multiply_adds, and `parts`: blocks, and the layers outside of blocks, in the order of computation, each
/// with name, type, layers, output, parameters and multiply_adds for one image of this size. Throws Error
/// where the image does not go through.
graft::Value network_facts(const graft::nn::Architecture& network, int height, int width);
