#pragma once

#include <hdf5.h>

#include <mutex>
#include <string>
#include <utility>

#include <graft/payload.h>

namespace graft {

/// The process's one lock for HDF5. Its own lock covers single calls, not sequences of them. Taking it the
/// first time sets the library up: no exit handler (it crashes after a full disk), no error printing, no
/// filter plugins loaded from the environment.
class Hdf5Lock {
 public:
  Hdf5Lock();

 private:
  std::unique_lock<std::recursive_mutex> lock_;
};

/// An HDF5 identifier that closes itself. close() reports the failure that a destructor cannot.
class Hdf5Id {
 public:
  using Close = herr_t (*)(hid_t);
  Hdf5Id() = default;
  /// Throws Error "cannot <doing>: <HDF5's reason>" when `id` is negative.
  Hdf5Id(hid_t id, Close close, const std::string& doing);
  Hdf5Id(Hdf5Id&& o) noexcept : id_(std::exchange(o.id_, -1)), close_(o.close_) {}
  Hdf5Id& operator=(Hdf5Id&& o) noexcept {
    std::swap(id_, o.id_);
    std::swap(close_, o.close_);
    return *this;
  }
  ~Hdf5Id();
  operator hid_t() const { return id_; }
  void close(const std::string& doing);

 private:
  hid_t id_ = -1;
  Close close_ = nullptr;
};

/// Throws Error "cannot <doing>: <HDF5's reason>" when a call has failed.
void hdf5_check(herr_t result, const std::string& doing);

/// The version of the library that is loaded: "1.10.8".
std::string hdf5_version();

/// How elements are stored, little-endian. f16 is named as IEEE binary16 so that other readers see numbers.
Hdf5Id hdf5_type(DType dtype);

}  // namespace graft
