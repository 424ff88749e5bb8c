#include "model.h"

#include <utility>

using namespace graft;

OpenedModel open_model(const Params& params) {
  OpenedModel out;
  out.model = nn::open_model(params, [&](const nn::Architecture& architecture) {
    out.taps = plan_taps(params, architecture);
    return out.taps.needed;
  });
  if (!out.model.architecture)
    out.taps = plan_taps(params);
  else
    out.taps.extend(*out.model.architecture, &out.model.weights);
  return out;
}

std::vector<ParamSpec> engine_parameters() {
  return {
      service("engine", "fused")
          .doc("fused: layers merged and laid out for speed; torch: layer by layer, the reference."),
      choice("precision", {"fp32", "bf16", "auto"}, "fp32")
          .auto_by_processor("avx512bf16", "bf16")
          .doc("Of weights and activations; bf16 is faster where the processor has it, and changes features "
               "by about a hundredth. auto: bf16 on such a processor."),
      text("device", "auto")
          .not_in_fingerprint()
          .doc("cpu, cuda, cuda:NUMBER; auto: a GPU where LibTorch sees one."),
      integer("threads_per_batch")
          .range(1, 1024)
          .unit("threads")
          .optional()
          .not_in_fingerprint()
          .doc("Threads that share one batch. Default, if concurrent_batches is left out, too: measured at "
               "the start of a large run, else 1; the manifest has the result."),
      integer("concurrent_batches")
          .range(1, 1024)
          .unit("batches")
          .optional()
          .not_in_fingerprint()
          .doc("Batches that are computed at the same time. Default: as many as the threads allow.")};
}

std::unique_ptr<nn::Engine> make_engine(const StageContext& context, const OpenedModel& opened, int threads) {
  const nn::Model& model = opened.model;
  const Params& params = context.params;
  nn::EngineOptions options;
  options.taps = opened.taps.taps;
  options.batch = params.get<int>("batch");
  options.precision = params.get<std::string>("precision");
  options.device = params.get<std::string>("device");
  options.threads = threads;
  // A described network has been given random weights already.
  if (params.get<bool>("untrained") && !model.architecture)
    options.forget = params.get<std::uint64_t>("init_seed");
  options.warn = context.warn;
  return nn::engine_service<nn::EngineService>(context.service, params.get<std::string>("engine"))
      .make(model, std::move(options));
}
