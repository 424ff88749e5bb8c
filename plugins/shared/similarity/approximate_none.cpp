#include <graft/error.h>

#include "similarity/approximate.h"

namespace graft {

struct SearchIndex::Approximate::Parts {};

bool SearchIndex::Approximate::built_in() {
  return false;
}

SearchIndex::Approximate::Approximate(const linalg::ExactIndex&, const IndexChoice&,
                                      const std::vector<float>&) {
  throw Error("built without FAISS");
}

SearchIndex::Approximate::~Approximate() = default;

std::vector<std::int64_t> SearchIndex::Approximate::search(std::span<const float>, std::size_t) const {
  return {};
}

}  // namespace graft
