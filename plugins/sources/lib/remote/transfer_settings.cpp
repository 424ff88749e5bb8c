#include <remote/transfer_settings.h>

#include <utility>

namespace graft::remote {

std::vector<ParamSpec> transfer_parameters() {
  return {
      number("timeout", 60)
          .range(0.1, 3600)
          .unit("s")
          .not_in_fingerprint()
          .doc("Time to connect, and without a byte, after which an attempt to fetch has failed."),
      integer("retries", 3)
          .range(0, 20)
          .not_in_fingerprint()
          .doc("Further attempts to fetch after errors that may pass: no connection, a broken one, status "
               "408, 429 and 5xx."),
      number("backoff", 0.5)
          .range(0, 60)
          .unit("s")
          .not_in_fingerprint()
          .doc("Time before the first of these; each later one waits twice as long, at most 60 s. A "
               "server that asks for a longer wait (Retry-After) gets it."),
      number("time_limit", 600)
          .range(0.1, 86400)
          .unit("s")
          .not_in_fingerprint()
          .doc("Time to fetch one file, or one range of an archive, with all attempts and the waits "
               "between them.")};
}

TransferLimits transfer_limits(const Params& params, std::function<bool()> keep_waiting) {
  TransferLimits out;
  out.timeout = params.get<double>("timeout");
  out.retries = params.get<int>("retries");
  out.backoff = params.get<double>("backoff");
  out.time_limit = params.get<double>("time_limit");
  out.keep_waiting = std::move(keep_waiting);
  return out;
}

std::vector<ParamSpec> cache_parameters() {
  return {
      text("cache").optional().not_in_fingerprint().doc(
          "Folder that keeps what was fetched, from the current folder; other runs and processes may share "
          "it. Servers are still asked whether a file has changed, unless content: url says that none does."),
      integer("cache_bytes", std::int64_t{10} << 30)
          .range(1 << 20, 1e15)
          .unit("bytes")
          .not_in_fingerprint()
          .doc("Size of the cache; what was not used for the longest time is removed first.")};
}

std::unique_ptr<FetchCache> fetch_cache(const Params& params) {
  if (!params.has("cache")) return nullptr;
  return std::make_unique<FetchCache>(params.get<std::string>("cache"),
                                      params.get<std::uint64_t>("cache_bytes"));
}

}  // namespace graft::remote
