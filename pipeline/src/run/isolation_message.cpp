#include "run/isolation_message.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>
#include <stdexcept>

#include "graph/check_output.h"
#include "plugin/plugin_call.h"

namespace graft {
namespace {

enum class PayloadKind : std::uint64_t { Nothing, File, Bytes, Image, Tensor };
enum class ExceptionKind : std::uint64_t { Reject, Fatal, Error, OutOfMemory, Interrupted, Foreign };

/// What a stage returned is at least checked here, so an extent is whatever 64 bits hold.
std::uint64_t bits(std::int64_t value) {
  return std::bit_cast<std::uint64_t>(value);
}
std::int64_t signed_number(MessageParser& message) {
  return std::bit_cast<std::int64_t>(message.number());
}
int small_number(MessageParser& message) {
  return static_cast<int>(signed_number(message));
}

/// Data of an invalid output that was not empty: never read, for the runtime rejects the output.
std::uint8_t g_no_data = 0;

constexpr std::uint64_t kAlignment = 64;
constexpr std::uint64_t kMostItems = 1U << 20, kMostPorts = 1U << 20, kMostExtents = 1U << 10;

constexpr std::uint64_t aligned(std::uint64_t at) {
  return (at + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

// Each payload is its kind, its facts, whether its data are there, and then where in the region they lie.

std::uint8_t* PayloadWriter::place(std::size_t size) {
  const std::size_t at = aligned(used_);
  region_.grow(at + size);
  used_ = at + size;
  message_.number(at);
  return region_.data() + at;
}

void PayloadWriter::add_bytes(const void* data, std::size_t size) {
  std::uint8_t* const to = place(size);
  if (size > 0) std::memcpy(to, data, size);
}

void PayloadWriter::add(const Payload& payload) {
  const bool valid =
      fault_of_payload(payload, true).empty() && !std::holds_alternative<std::monostate>(payload);
  const auto kind = [&](PayloadKind k) { message_.number(static_cast<std::uint64_t>(k)); };
  const auto presence = [&](const void* data) {
    message_.number(valid ? 1 : 0);
    if (!valid) message_.number(data == nullptr ? 0 : 1);
  };
  if (const auto* file = std::get_if<FileRef>(&payload)) {
    kind(PayloadKind::File);
    message_.text(file->path);
  } else if (const auto* bytes = std::get_if<Bytes>(&payload)) {
    kind(PayloadKind::Bytes);
    message_.number(bytes->size);
    presence(bytes->data);
    if (valid) add_bytes(bytes->data, bytes->size);
  } else if (const auto* image = std::get_if<Image>(&payload)) {
    kind(PayloadKind::Image);
    message_.number(bits(image->width));
    message_.number(bits(image->height));
    message_.number(bits(image->stride));
    presence(image->data);
    if (!valid) return;
    const std::size_t row = std::size_t{3} * static_cast<std::size_t>(image->width);
    std::uint8_t* to = place(row * static_cast<std::size_t>(image->height));
    for (int y = 0; y < image->height; ++y, to += row) std::memcpy(to, image->row(y), row);
  } else if (const auto* tensor = std::get_if<Tensor>(&payload)) {
    kind(PayloadKind::Tensor);
    message_.number(static_cast<std::uint64_t>(tensor->dtype));
    message_.number(tensor->shape.size());
    for (const std::int64_t extent : tensor->shape) message_.number(bits(extent));
    presence(tensor->data);
    if (valid) add_bytes(tensor->data, tensor->bytes());
  } else {
    kind(PayloadKind::Nothing);
  }
}

const std::uint8_t* PayloadParser::place(std::uint64_t size) {
  const std::uint64_t at = message_.number(region_.size());
  if (size > region_.size() - at || at % kAlignment != 0)
    throw Error("the process of the stage gave a payload that makes no sense");
  return region_.data() + at;
}

Bytes PayloadParser::take_bytes() {
  Bytes out;
  out.size = static_cast<std::size_t>(message_.number());
  if (message_.number(1) == 0) {
    out.data = message_.number(1) == 0 ? nullptr : &g_no_data;
    return out;
  }
  out.data = place(out.size);
  if (memory_ == Memory::Shared) return out;
  const std::shared_ptr<std::uint8_t[]> copy(new std::uint8_t[out.size]);
  std::copy_n(out.data, out.size, copy.get());
  out.data = copy.get();
  out.owner = copy;
  return out;
}

Image PayloadParser::take_image() {
  Image out;
  out.width = small_number(message_);
  out.height = small_number(message_);
  out.stride = static_cast<std::ptrdiff_t>(signed_number(message_));
  if (message_.number(1) == 0) {
    out.data = message_.number(1) == 0 ? nullptr : &g_no_data;
    return out;
  }
  if (out.width <= 0 || out.height <= 0) throw Error("the process of the stage gave an image without pixels");
  out.stride = std::ptrdiff_t{3} * out.width;
  const std::uint64_t bytes = static_cast<std::uint64_t>(out.stride) * static_cast<std::uint64_t>(out.height);
  const std::uint8_t* const from = place(bytes);
  if (memory_ == Memory::Shared) {
    out.data = const_cast<std::uint8_t*>(from);
    return out;
  }
  Image copy = Image::allocate(out.width, out.height);
  for (int y = 0; y < out.height; ++y)
    std::memcpy(copy.row(y), from + y * out.stride, static_cast<std::size_t>(out.stride));
  return copy;
}

Tensor PayloadParser::take_tensor() {
  Tensor out;
  out.dtype = static_cast<DType>(message_.number(255));
  const std::uint64_t rank = message_.number(kMostExtents);
  for (std::uint64_t i = 0; i < rank; ++i) out.shape.push_back(signed_number(message_));
  if (message_.number(1) == 0) {
    out.data = message_.number(1) == 0 ? nullptr : &g_no_data;
    return out;
  }
  out.data = &g_no_data;
  if (!fault_of_payload(out).empty())
    throw Error("the process of the stage gave a tensor that makes no sense");
  const std::uint8_t* const from = place(out.bytes());
  if (memory_ == Memory::Shared) {
    out.data = const_cast<std::uint8_t*>(from);
    return out;
  }
  Tensor copy = Tensor::allocate(out.dtype, std::move(out.shape));
  if (copy.bytes() > 0) std::memcpy(copy.data, from, copy.bytes());
  return copy;
}

Payload PayloadParser::take() {
  switch (static_cast<PayloadKind>(message_.number(static_cast<std::uint64_t>(PayloadKind::Tensor)))) {
    case PayloadKind::Nothing:
      return {};
    case PayloadKind::File: {
      FileRef file;
      file.path = message_.text();
      return file;
    }
    case PayloadKind::Bytes:
      return take_bytes();
    case PayloadKind::Image:
      return take_image();
    case PayloadKind::Tensor:
      return take_tensor();
  }
  return {};
}

void add_items(std::span<const Item> items, MessageWriter& message, PayloadWriter& payloads) {
  message.number(items.size());
  for (const Item& item : items) {
    const Entry& entry = *item.entry;
    message.text(entry.key);
    message.number(static_cast<std::uint64_t>(entry.split));
    message.number(entry.labels.size());
    for (const std::int32_t label : entry.labels) message.number(bits(label));
    message.number(entry.negative ? 1 : 0);
    message.number(entry.content ? 1 : 0);
    if (entry.content) {
      message.number(entry.content->high);
      message.number(entry.content->low);
    }
    message.number(item.view);
    payloads.add(item.payload);
  }
}

std::vector<Item> take_items(MessageParser& message, PayloadParser& payloads) {
  std::vector<Item> out(message.number(kMostItems));
  for (Item& item : out) {
    auto entry = std::make_shared<Entry>();
    entry->key = message.text();
    entry->split = static_cast<Split>(message.number(static_cast<std::uint64_t>(Split::Test)));
    entry->labels.resize(message.number(kMostItems));
    for (std::int32_t& label : entry->labels) label = small_number(message);
    entry->negative = message.number(1) != 0;
    if (message.number(1) != 0) {
      const std::uint64_t high = message.number();
      entry->content = Digest{high, message.number()};
    }
    item.entry = std::move(entry);
    item.view = static_cast<std::uint32_t>(message.number(UINT32_MAX));
    item.payload = payloads.take();
  }
  return out;
}

void add_exception(MessageWriter& message, const char* function) {
  const auto add = [&](ExceptionKind kind, const std::string& text, const std::string& code = {}) {
    message.number(static_cast<std::uint64_t>(kind));
    message.text(code);
    message.text(text);
  };
  const auto words = [&](const Error& e) {
    return *e.what() != '\0' ? e.what() : text_of_exception(function);
  };
  try {
    throw;
  } catch (const FatalError& e) {
    add(ExceptionKind::Fatal, words(e));
  } catch (const Interrupted& e) {
    add(ExceptionKind::Interrupted, e.what());
  } catch (const Reject& e) {
    add(ExceptionKind::Reject, e.what(), e.code());
  } catch (const Error& e) {
    add(ExceptionKind::Error, words(e));
  } catch (const std::bad_alloc&) {
    add(ExceptionKind::OutOfMemory, {});
  } catch (const std::exception& e) {
    add(ends_the_run(e) ? ExceptionKind::Fatal : ExceptionKind::Foreign, text_of_exception(function));
  } catch (...) {
    add(ExceptionKind::Foreign, text_of_exception(function));
  }
}

void throw_exception(MessageParser& message) {
  const auto kind =
      static_cast<ExceptionKind>(message.number(static_cast<std::uint64_t>(ExceptionKind::Foreign)));
  const std::string code = message.text(), text = message.text();
  switch (kind) {
    case ExceptionKind::Reject:
      throw Reject(code, text);
    case ExceptionKind::Fatal:
      throw FatalError(text);
    case ExceptionKind::OutOfMemory:
      throw std::bad_alloc();
    case ExceptionKind::Interrupted:
      throw Interrupted();
    case ExceptionKind::Foreign:
      throw std::runtime_error(text);
    case ExceptionKind::Error:
      break;
  }
  throw Error(text);
}

void RecordedOutput::set(std::size_t item, Payload payload, std::size_t port) {
  const std::lock_guard lock(mutex_);
  calls_.push_back({item, port, std::move(payload), false, {}, {}});
}

void RecordedOutput::reject(std::size_t item, const std::string& code, const std::string& text) {
  const std::lock_guard lock(mutex_);
  calls_.push_back({item, 0, {}, true, code, text});
}

void RecordedOutput::add_to(MessageWriter& message, PayloadWriter& payloads) const {
  message.number(calls_.size());
  for (const Call& call : calls_) {
    message.number(call.item);
    message.number(call.port);
    message.number(call.is_reject ? 1 : 0);
    if (call.is_reject) {
      message.text(call.code);
      message.text(call.text);
    } else {
      payloads.add(call.payload);
    }
  }
}

void replay_output(MessageParser& message, PayloadParser& payloads, std::size_t first, BatchOutput& out) {
  for (std::uint64_t left = message.number(kMostItems * 4); left > 0; --left) {
    // An item or port that does not exist is for the runtime to name.
    const std::uint64_t item = message.number(), port = message.number();
    if (message.number(1) == 0) {
      out.set(first + item, payloads.take(), port);
      continue;
    }
    const std::string code = message.text();
    out.reject(first + item, code, message.text());
  }
}

}  // namespace graft
