#pragma once

#include <string>
#include <vector>

namespace graft::cli {

/// `graft __complete WORD...`: prints what may stand in the place of the last word, one line each: the word,
/// and, after a tab, its help. Two lines have another meaning: ":folders", and ":files [EXTENSION...]",
/// those with these extensions. The scripts for bash and zsh ask for it. Returns kOk, also when nothing fits.
int complete(const std::vector<std::string>& words);

}  // namespace graft::cli
