#include <graft/system_error.h>

#include <sys/resource.h>

#include <cerrno>
#include <system_error>

#include <fmt/format.h>

namespace graft {

std::string system_error_text(int error) {
  std::string text = std::generic_category().message(error);
  rlimit limit{};
  if (error == EFBIG && ::getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
    text += fmt::format(" (ulimit -f allows {} bytes per file: raise it)", limit.rlim_cur);
  return text;
}

}  // namespace graft
