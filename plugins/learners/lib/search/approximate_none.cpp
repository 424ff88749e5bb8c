#include <graft/error.h>

#include "approximate.h"

namespace graft::search {

struct SearchIndex::Approximate::Parts {};

bool SearchIndex::Approximate::built_in() {
  return false;
}

SearchIndex::Approximate::Approximate(const ExactIndex&, const IndexChoice&, const std::vector<float>&) {
  throw Error("built without FAISS");
}

SearchIndex::Approximate::~Approximate() = default;

std::vector<std::int64_t> SearchIndex::Approximate::search(std::span<const float>, std::size_t) const {
  return {};
}

}  // namespace graft::search
