#include "output.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <string>
#include <string_view>
#include <system_error>

#include <fmt/format.h>

#include <graft/system_error.h>
#include <graft/text.h>

#include "commands.h"
#include "run/progress.h"

namespace graft::cli {
namespace {

int g_document = -1;  // the descriptor for the document; -1: there is none
bool g_printed = false;
int g_error = 0;  // of writing it

void write_document(std::string_view text) {
  while (!text.empty() && g_error == 0) {
    const ssize_t n = ::write(g_document, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) g_error = errno;
    if (n > 0) text.remove_prefix(static_cast<std::size_t>(n));
  }
}

}  // namespace

std::size_t terminal_columns() {
  winsize size{};
  if (::isatty(STDOUT_FILENO) == 0 || ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) return 0;
  return size.ws_col;
}

void say_report(const std::string& text) {
  if (!has_colors() || ::isatty(STDOUT_FILENO) == 0) return say("{}", text);
  const std::string shown = printable_lines(text);
  std::string out;
  bool heading = true;
  for (std::size_t at = 0, end = 0; at < shown.size(); at = end + 1) {
    end = std::min(shown.find('\n', at), shown.size());
    const std::string line = shown.substr(at, end - at);
    out +=
        (heading && !line.empty() ? "\x1b[1m" + line + "\x1b[0m" : line) + (end < shown.size() ? "\n" : "");
    heading = line.empty();
  }
  if (std::fwrite(out.data(), 1, out.size(), stdout) != out.size())
    throw std::system_error(errno, std::generic_category(), "standard output");
}

std::size_t reading_columns() {
  constexpr std::size_t kMost = 100;
  const std::size_t columns = terminal_columns();
  return columns == 0 ? kMost : std::min(columns, kMost);
}

std::string explained(const std::vector<std::pair<std::string, std::string>>& names, std::size_t columns) {
  constexpr std::size_t kIndent = 2, kWidest = 36, kNarrow = 64, kBelow = 6;
  std::size_t width = 0;
  for (const auto& [name, text] : names) width = std::max(width, std::min(name.size(), kWidest));
  const std::size_t indent = columns < kNarrow ? kBelow : kIndent + width + 2;
  std::string out;
  for (const auto& [name, text] : names) {
    const std::string left = std::string(kIndent, ' ') + name;
    const std::string right = wrapped(text, indent, columns);
    if (columns < kNarrow || left.size() + 2 > indent)
      out.append(left).append("\n").append(right);
    else
      out += left + right.substr(left.size());
  }
  return out;
}

std::string wrapped(const std::string& text, std::size_t indent, std::size_t columns) {
  std::string out, line;
  std::size_t start = 0;
  while (start < text.size()) {
    std::size_t end = text.find(' ', start);
    if (end == std::string::npos) end = text.size();
    const std::string word = text.substr(start, end - start);
    if (!line.empty() && indent + line.size() + 1 + word.size() > columns) {
      out += std::string(indent, ' ') + line + "\n";
      line.clear();
    }
    line += (line.empty() ? "" : " ") + word;
    start = end + 1;
  }
  return out + std::string(indent, ' ') + line + "\n";
}

void open_standard_streams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) != -1 || errno != EBADF) continue;
    // Opened in the wrong direction: its use is an error, as with a closed stream. Messages are lost.
    const int got = ::open("/dev/null", fd == STDOUT_FILENO ? O_RDONLY : O_WRONLY);
    if (got >= 0 && got != fd) {
      ::dup2(got, fd);
      ::close(got);
    }
  }
}

void begin_document() {
  if (g_document >= 0) return;
  g_document = ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  if (g_document >= 0) ::dup2(STDERR_FILENO, STDOUT_FILENO);
}

void print_document(const Value& document) {
  if (g_document < 0 || g_printed) return;
  g_printed = true;
  const std::string text = printable_json(document.to_json_pretty());
  write_document(text);
}

void print_line(const std::string& line) {
  if (g_document >= 0) {
    g_printed = true;
    write_document(printable_json(line) + "\n");
    return;
  }
  static const bool kTerminal = ::isatty(STDOUT_FILENO) != 0;
  if (kTerminal) {
    print_text(stdout, printable(line) + "\n");
  } else if (std::fputs((line + "\n").c_str(), stdout) < 0) {
    throw std::system_error(errno, std::generic_category(), "standard output");
  }
}

void warn_of_nan_rows(const std::filesystem::path& file, std::uint64_t rows) {
  if (rows > 0)
    print_error("warning: {}: {} without features {} NaN, so that there is a row for every input\n",
                printable(file.string()), plural(rows, "row"), rows == 1 ? "is" : "are");
}

void note_output_error(int error) {
  if (g_error == 0) g_error = error;
}

int finish_output(int exit_code, const std::string& why) {
  if (exit_code != kOk && g_document >= 0 && !g_printed) {
    Value document = Value::map();
    document["error"] = why;
    document["exit_code"] = exit_code;
    print_document(document);
  }
  errno = 0;
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    // Text redirected from stdout to stderr is not output of the command.
    if (g_document < 0 && g_error == 0) g_error = errno != 0 ? errno : EIO;
  }
  if (g_error == 0) return exit_code;
  // A closed pipe, as with head, is not an error.
  if (g_error != EPIPE)
    std::fputs(fmt::format("error: cannot write the output: {}\n", system_error_text(g_error)).c_str(),
               stderr);
  return exit_code == kOk ? kFailed : exit_code;
}

}  // namespace graft::cli
