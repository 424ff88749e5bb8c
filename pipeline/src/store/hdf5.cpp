#include "store/hdf5.h"

#include <H5PLpublic.h>

#include <cerrno>
#include <system_error>

#include <graft/error.h>
#include <graft/system_error.h>

namespace graft {
namespace {

std::recursive_mutex& mutex() {
  static auto* shared = new std::recursive_mutex;  // outlives every static shard
  return *shared;
}

/// The innermost message of HDF5's error stack: the outer ones only repeat which call was made.
std::string reason() {
  std::string text;
  H5Ewalk2(
      H5E_DEFAULT, H5E_WALK_UPWARD,
      [](unsigned n, const H5E_error2_t* e, void* out) -> herr_t {
        if (n == 0 && e->desc != nullptr) *static_cast<std::string*>(out) = e->desc;
        return 0;
      },
      &text);
  H5Eclear2(H5E_DEFAULT);
  if (const std::string too_large = std::generic_category().message(EFBIG);
      text.find("'" + too_large + "'") != std::string::npos)
    return system_error_text(EFBIG);
  return text.empty() ? "HDF5 gave no reason" : text;
}

}  // namespace

Hdf5Lock::Hdf5Lock() : lock_(mutex()) {
  static const bool kReady = [] {
    H5dont_atexit();
    H5open();
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
    H5PLset_loading_state(0);
    return true;
  }();
  (void)kReady;
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);  // the error stack is per thread
}

Hdf5Id::Hdf5Id(hid_t id, Close close, const std::string& doing) : id_(id), close_(close) {
  if (id_ < 0) throw Error("cannot " + doing + ": " + reason());
}

Hdf5Id::~Hdf5Id() {
  if (id_ < 0) return;
  const Hdf5Lock lock;
  close_(id_);
}

void Hdf5Id::close(const std::string& doing) {
  if (id_ >= 0) hdf5_check(close_(std::exchange(id_, -1)), doing);
}

void hdf5_check(herr_t result, const std::string& doing) {
  if (result < 0) throw Error("cannot " + doing + ": " + reason());
}

std::string hdf5_version() {
  const Hdf5Lock lock;
  unsigned major = 0, minor = 0, release = 0;
  hdf5_check(H5get_libversion(&major, &minor, &release), "ask for the version of HDF5");
  return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(release);
}

Hdf5Id hdf5_type(DType dtype) {
  switch (dtype) {
    case DType::U8:
      return {H5Tcopy(H5T_STD_U8LE), H5Tclose, "make a type"};
    case DType::F32:
      return {H5Tcopy(H5T_IEEE_F32LE), H5Tclose, "make a type"};
    case DType::I64:
      return {H5Tcopy(H5T_STD_I64LE), H5Tclose, "make a type"};
    case DType::F16:
      break;
  }
  Hdf5Id half(H5Tcopy(H5T_IEEE_F32LE), H5Tclose, "make a type");
  hdf5_check(H5Tset_fields(half, 15, 10, 5, 0, 10), "make a 16-bit float");
  hdf5_check(H5Tset_size(half, 2), "make a 16-bit float");
  hdf5_check(H5Tset_ebias(half, 15), "make a 16-bit float");
  return half;
}

}  // namespace graft
