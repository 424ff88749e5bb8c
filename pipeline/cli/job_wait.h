#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "run/progress.h"
#include "run/signals.h"

namespace graft::cli {

/// Waits while workers of the job, whoever has started them, are at its slots: their rows are missing until
/// then. At Info, tells on whom it waits. `show`, unless null, is called every 100 ms. Returns whether there
/// were any; at once after a signal. Throws Error where the store has no such job.
bool wait_for_workers(const std::filesystem::path& store, const std::string& name, LogLevel level,
                      const Signals& signals, const std::function<void()>& show);

}  // namespace graft::cli
