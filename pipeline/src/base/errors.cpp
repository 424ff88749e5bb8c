#include <graft/error.h>

namespace graft {

Error::~Error() = default;
FatalError::~FatalError() = default;
Interrupted::~Interrupted() = default;
Reject::~Reject() = default;

}  // namespace graft
