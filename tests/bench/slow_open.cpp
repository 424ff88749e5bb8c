// Loaded into a program (LD_PRELOAD) it makes every open of a file below $SLOW_FOLDER take $SLOW_MS
// milliseconds, as on a network file system that is far away. Other files, and reads, are as fast as they
// are.

#include <dlfcn.h>
#include <fcntl.h>

#include <chrono>
#include <cstdarg>
#include <cstdlib>
#include <cstring>
#include <thread>

namespace {

void wait_for(const char* path) {
  static const char* const kFolder = std::getenv("SLOW_FOLDER");
  static const char* const kMilliseconds = std::getenv("SLOW_MS");
  if (kFolder == nullptr || kMilliseconds == nullptr ||
      std::strncmp(path, kFolder, std::strlen(kFolder)) != 0)
    return;
  std::this_thread::sleep_for(std::chrono::milliseconds(std::atoi(kMilliseconds)));
}

using Open = int (*)(const char*, int, ...);

int slow_open(const char* name, const char* path, int flags, mode_t mode) {
  wait_for(path);
  return reinterpret_cast<Open>(::dlsym(RTLD_NEXT, name))(path, flags, mode);
}

mode_t mode_of(int flags, std::va_list arguments) {
  return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
}

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  std::va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  return slow_open("open", path, flags, mode);
}

int open64(const char* path, int flags, ...) {
  std::va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  return slow_open("open64", path, flags, mode);
}
}
