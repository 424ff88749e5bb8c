#pragma once

#include <cstdint>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include <graft/stage.h>

#include "base/message.h"
#include "run/shared_region.h"

namespace graft {

/// What a run and the process of an isolated stage say to each other over a socket: a frame and a body.
/// Pixels, elements and bytes of payloads go through a shared region for each direction.

/// To the process. Open comes first; Quit last.
enum class StageRequest : std::uint64_t { Open = 1, Apply, Finish, Facts, Quit };
/// From the process. Warning and Waiting may come before the answer to a request. ThreadEnded: there will be
/// no answer, for the stage has ended the thread that would give it.
enum class StageAnswer : std::uint64_t { Done = 1, Failed, Warning, Waiting, ThreadEnded };

/// Descriptors of the process.
constexpr int kStageSocket = 3, kStageInput = 4, kStageOutput = 5;

/// At the beginning of the region to the process.
struct StageControl {
  std::uint32_t interrupted = 0;  ///< Read and written as an atomic.
};
constexpr std::size_t kRegionBegin = 64;  ///< Where payloads begin in either region.

/// Copies payloads into a region, one after the other.
class PayloadWriter {
 public:
  PayloadWriter(MessageWriter& message, SharedRegion& region) : message_(message), region_(region) {}
  /// Everything there is of it, also what check_output finds fault with: the other side is to find it, too.
  void add(const Payload& payload);

 private:
  void add_bytes(const void* data, std::size_t size);
  std::uint8_t* place(std::size_t size);

  MessageWriter& message_;
  SharedRegion& region_;
  std::size_t used_ = kRegionBegin;
};

/// Takes payloads from a region. Throws Error for a message that makes no sense.
class PayloadParser {
 public:
  enum class Memory : std::uint8_t {
    Shared,  ///< Payloads lie in the region: for the length of a call.
    Own,     ///< Payloads are copies.
  };
  PayloadParser(MessageParser& message, std::span<const std::uint8_t> region, Memory memory)
      : message_(message), region_(region), memory_(memory) {}
  Payload take();

 private:
  /// Where so many bytes lie.
  const std::uint8_t* place(std::uint64_t size);
  Image take_image();
  Tensor take_tensor();
  Bytes take_bytes();

  MessageParser& message_;
  const std::span<const std::uint8_t> region_;
  const Memory memory_;
};

/// Items without what only the runtime uses.
void add_items(std::span<const Item> items, MessageWriter& message, PayloadWriter& payloads);
std::vector<Item> take_items(MessageParser& message, PayloadParser& payloads);

/// The exception that is being handled, which `function` has thrown.
void add_exception(MessageWriter& message, const char* function);
/// Throws it again, so that the runtime handles it as if it came from this process.
[[noreturn]] void throw_exception(MessageParser& message);

/// What a batch transform gave, to be given again on the other side, mistakes included.
class RecordedOutput final : public BatchOutput {
 public:
  void set(std::size_t item, Payload payload, std::size_t port) override;
  void reject(std::size_t item, const std::string& code, const std::string& text) override;
  void add_to(MessageWriter& message, PayloadWriter& payloads) const;

 private:
  struct Call {
    std::size_t item, port;
    Payload payload;
    bool is_reject;
    std::string code, text;
  };
  std::mutex mutex_;  // a stage may use threads of its own
  std::vector<Call> calls_;
};
/// Gives `out` what was recorded. Items are counted from `first`.
void replay_output(MessageParser& message, PayloadParser& payloads, std::size_t first, BatchOutput& out);

}  // namespace graft
