#pragma once

#include <graft/stage.h>

/// Inspects a backbone stage by its parameters, the headers of its model file and the size of its
/// images: errors, and the shape of each output where it is known. Loads neither weights nor LibTorch.
graft::Inspection inspect_backbone(const graft::StageContext& context);
