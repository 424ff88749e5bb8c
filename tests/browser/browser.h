#pragma once

#include <unistd.h>

#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

#include "program.h"

namespace graft::test {

/// Chromium, which GRAFT_BROWSER names, or PATH; empty where there is none.
inline std::string browser() {
  if (const char* given = std::getenv("GRAFT_BROWSER")) return given;
  std::istringstream folders(std::getenv("PATH") != nullptr ? std::getenv("PATH") : "");
  for (std::string folder; std::getline(folders, folder, ':');)
    for (const char* name : {"chromium", "chromium-browser", "google-chrome"})
      if (::access((folder + "/" + name).c_str(), X_OK) == 0) return folder + "/" + name;
  return {};
}

/// Opens a page without a window.
inline ProgramResult browse(const std::string& url, std::vector<std::string> more) {
  const TempFolder profile, output;
  std::vector<std::string> arguments{"--headless",
                                     "--no-sandbox",
                                     "--disable-gpu",
                                     "--disable-quic",
                                     "--no-first-run",
                                     "--disable-background-networking",
                                     "--disable-component-update",
                                     "--disable-sync",
                                     "--disable-dev-shm-usage",
                                     "--hide-scrollbars",
                                     "--user-data-dir=" + profile.path().string(),
                                     "--virtual-time-budget=20000"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  arguments.push_back(url);
  const std::string program = browser();
  return wait_for(output, start(program.c_str(), output, arguments));
}

}  // namespace graft::test
