#pragma once

#include <graft/stage.h>

namespace graft {

/// Inspects a finetune stage by its parameters and the headers of its model file. Loads neither weights nor
/// LibTorch.
Inspection inspect_finetune(const StageContext& context);

}  // namespace graft
