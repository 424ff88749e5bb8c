#pragma once

#include <string>

#include <graft/export.h>
#include <graft/value.h>

#include "run/trained_model.h"

namespace graft {

/// The card of a packed model, Markdown for people: what it was trained on, how good it is, for which classes
/// it fails, how far its scores are probabilities, what it needs. `facts`: of graft-model.json. A value that
/// the run did not measure is left out.
GRAFT_API std::string model_card(const Value& facts, const TrainedModel& model);

}  // namespace graft
