#pragma once

#include <functional>
#include <string>
#include <vector>

#include <graft/params.h>
#include <graft/stage.h>

/// What the parameters demand and this machine or its files do not give: a model file of another digest than
/// `sha256`, a `device` that is not there. Checked on every run, also where no row is to be computed. Without
/// `service`, what takes LibTorch to find out is not asked.
std::vector<graft::Inspection::Fault> unmet_demands(
    const graft::Params& params, const std::function<graft::Service&(const std::string&)>& service);
