#include <graft/error.h>

namespace graft {

Error::~Error() = default;
FatalError::~FatalError() = default;
Reject::~Reject() = default;

}  // namespace graft
