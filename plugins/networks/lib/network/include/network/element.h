#pragma once

#include <cstddef>
#include <string_view>

namespace graft::nn {

/// How numbers lie in weight files: a name as safetensors has it, a size, and how to read them as float32, or
/// null for types that no weights are kept in.
struct ElementType {
  const char* name;
  std::size_t bytes;
  void (*to_float)(const std::byte* in, std::size_t n, float* out);
};

/// F64, F32, F16, BF16 and I64 can be read as float32 (rounded to nearest); I32, I16, I8, U8, BOOL, C64 and
/// C128 are known. Null for any other name.
const ElementType* element_type(std::string_view name);

}  // namespace graft::nn
