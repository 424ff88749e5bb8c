#include "run/whole_run.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <utility>

namespace graft {

HeldRun::HeldRun(std::filesystem::path folder)
    : folder_(std::move(folder)), file_(::open(folder_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)) {}

bool HeldRun::is_in_place() const {
  struct stat held {
  }, named{};
  const bool was = file_ && ::fstat(file_.get(), &held) == 0, is = ::stat(folder_.c_str(), &named) == 0;
  return was == is && (!was || (held.st_ino == named.st_ino && held.st_dev == named.st_dev));
}

}  // namespace graft
