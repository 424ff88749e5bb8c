#include <graft/inspector.h>

#include "inspect.h"

GRAFT_INSPECTOR(graft::inspect_finetune)
