#include "store/widen.h"

#include <cstring>

#include <graft/half.h>

namespace graft {

void widen(DType from, const std::uint8_t* in, std::size_t n, float* out) {
  switch (from) {
    case DType::F32:
      std::memcpy(out, in, n * sizeof(float));
      return;
    case DType::U8:
      for (std::size_t i = 0; i < n; ++i) out[i] = in[i];
      return;
    case DType::F16:
      from_half(reinterpret_cast<const std::uint16_t*>(in), n, out);
      return;
    case DType::I64:
      for (std::size_t i = 0; i < n; ++i) {
        std::int64_t v;
        std::memcpy(&v, in + 8 * i, 8);
        out[i] = static_cast<float>(v);
      }
      return;
  }
}

}  // namespace graft
