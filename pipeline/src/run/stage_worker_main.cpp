// graft-stage-worker: one stage of a run in a process of its own. A run starts it (graft run --isolate) and
// gives it a socket and two regions of shared memory, see run/isolation_message.h.

#include "run/stage_worker.h"

int main() {
  return graft::run_stage_worker();
}
