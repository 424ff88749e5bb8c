#include "plugin/elf_file.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <type_traits>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/hash.h>

namespace graft {
namespace {

constexpr std::uint64_t kMaxTable = 256 << 20;  // bytes of a table that are read at once

/// A file read by offset; a read beyond its end returns nothing.
class Reader {
 public:
  explicit Reader(const std::filesystem::path& file)
      : fd_(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
    struct stat info {};
    if (fd_ < 0 || ::fstat(fd_, &info) != 0) {
      const int error = errno;
      if (fd_ >= 0) ::close(fd_);
      throw Error(fmt::format("cannot open {}: {}", file.string(), std::strerror(error)));
    }
    size_ = static_cast<std::uint64_t>(info.st_size);
  }
  ~Reader() { ::close(fd_); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  std::uint64_t size() const { return size_; }
  bool holds(std::uint64_t offset, std::uint64_t size) const {
    return offset <= size_ && size <= size_ - offset;
  }

  bool read(std::uint64_t offset, void* to, std::uint64_t size) const {
    auto* at = static_cast<char*>(to);
    while (size > 0) {
      const ssize_t n = ::pread(fd_, at, size, static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return false;
      at += n;
      offset += static_cast<std::uint64_t>(n);
      size -= static_cast<std::uint64_t>(n);
    }
    return true;
  }
  template <typename T>
  std::optional<std::vector<T>> table(std::uint64_t offset, std::uint64_t count) const {
    static_assert(std::is_trivially_copyable_v<T>);
    if (count > kMaxTable / sizeof(T) || !holds(offset, count * sizeof(T))) return {};
    std::vector<T> out(count);
    if (!read(offset, out.data(), count * sizeof(T))) return {};
    return out;
  }

  /// Appends the digests of the pieces of a part, which may be large. Pieces stay in the cache of a
  /// processor.
  bool add_digests(std::uint64_t offset, std::uint64_t size, std::string& out) const {
    constexpr std::uint64_t kPiece = 256 << 10;
    std::vector<char> piece(std::min(size, kPiece));
    for (; size > 0; offset += piece.size(), size -= piece.size()) {
      piece.resize(std::min(size, kPiece));
      if (!read(offset, piece.data(), piece.size())) return false;
      out += digest(piece.data(), piece.size()).hex();
    }
    return true;
  }

 private:
  const int fd_;
  std::uint64_t size_ = 0;
};

/// The kind of processor that this library was built for.
std::uint16_t own_machine() {
  // Its own header in memory: it begins where the library was loaded.
  Dl_info here{};
  const bool found = ::dladdr(reinterpret_cast<const void*>(&own_machine), &here) != 0;
  return found ? static_cast<const Elf64_Ehdr*>(here.dli_fbase)->e_machine : std::uint16_t{EM_NONE};
}

std::string cut_short(std::uint64_t end, std::uint64_t size) {
  return fmt::format("{} bytes of {}: it is truncated", size, end);
}

std::optional<bool> exports_entry(const Reader& file, const std::vector<Elf64_Shdr>& sections) {
  for (const Elf64_Shdr& s : sections) {
    if (s.sh_type != SHT_DYNSYM || s.sh_link >= sections.size()) continue;
    const Elf64_Shdr& texts = sections[s.sh_link];
    const auto symbols = file.table<Elf64_Sym>(s.sh_offset, s.sh_size / sizeof(Elf64_Sym));
    const auto names = file.table<char>(texts.sh_offset, texts.sh_size);
    if (!symbols || !names) return {};
    static constexpr char kEntry[] = "graft_plugin";
    for (const Elf64_Sym& symbol : *symbols)
      if (symbol.st_shndx != SHN_UNDEF && symbol.st_name < names->size() &&
          std::string_view(names->data() + symbol.st_name, names->size() - symbol.st_name)
              .starts_with(std::string_view(kEntry, sizeof kEntry)))  // with the zero after it
        return true;
    return false;
  }
  return {};
}

}  // namespace

ElfFile read_elf(const std::filesystem::path& path, bool with_code) {
  const Reader file(path);
  ElfFile out;
  const auto refuse = [&](std::string why) {
    out.fault = std::move(why);
    return out;
  };
  Elf64_Ehdr header{};
  if (file.size() < sizeof header || !file.read(0, &header, sizeof header) ||
      std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
    return refuse(file.size() == 0 ? "an empty file" : "a file with an invalid ELF header");
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
      header.e_machine != own_machine())
    return refuse("a file for another kind of processor");
  if (header.e_type != ET_DYN || header.e_phentsize != sizeof(Elf64_Phdr))
    return refuse("an ELF file that is not a shared object");
  const auto segments = file.table<Elf64_Phdr>(header.e_phoff, header.e_phnum);
  if (!segments) return refuse(cut_short(header.e_phoff + header.e_phnum * sizeof(Elf64_Phdr), file.size()));
  for (const Elf64_Phdr& s : *segments)
    if (s.p_type == PT_LOAD && !file.holds(s.p_offset, s.p_filesz))
      return refuse(cut_short(s.p_offset + s.p_filesz, file.size()));
  // The section table ends the file. The loader does not need it: it may be missing, but not truncated.
  if (header.e_shoff != 0 && header.e_shentsize == sizeof(Elf64_Shdr)) {
    const auto sections = file.table<Elf64_Shdr>(header.e_shoff, header.e_shnum);
    if (!sections)
      return refuse(cut_short(header.e_shoff + header.e_shnum * sizeof(Elf64_Shdr), file.size()));
    out.has_entry = exports_entry(file, *sections);
  }
  if (!with_code) return out;
  std::string all;
  std::uint64_t left = file.size();
  for (const Elf64_Phdr& s : *segments) {
    if (s.p_type != PT_LOAD || (s.p_flags & PF_X) == 0) continue;
    if (s.p_filesz > left) return refuse("more machine code than the file has bytes");
    left -= s.p_filesz;
    if (!file.add_digests(s.p_offset, s.p_filesz, all))
      return refuse(cut_short(s.p_offset + s.p_filesz, file.size()));
  }
  out.code = digest(all.data(), all.size()).hex();
  return out;
}

std::uint64_t mapped_size(const std::filesystem::path& path) try {
  const Reader file(path);
  Elf64_Ehdr header{};
  if (!file.read(0, &header, sizeof header)) return 0;
  std::uint64_t end = 0;
  for (const Elf64_Phdr& s :
       file.table<Elf64_Phdr>(header.e_phoff, header.e_phnum).value_or(std::vector<Elf64_Phdr>()))
    if (s.p_type == PT_LOAD) end = std::max(end, s.p_vaddr + s.p_memsz);
  return end;
} catch (const Error&) {  // the loader will report it
  return 0;
}

}  // namespace graft
