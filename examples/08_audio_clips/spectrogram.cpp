#include <algorithm>
#include <cmath>
#include <complex>
#include <cstring>

#include <graft/plugin.h>

namespace {

using namespace graft;

constexpr std::size_t kWindow = 512;
constexpr double kDecibels = 80;  // below the loudest: black

std::uint32_t little_endian(const std::uint8_t* at, int bytes) {
  std::uint32_t out = 0;
  for (int i = bytes; i-- > 0;) out = out << 8 | at[i];
  return out;
}

/// The mean of the channels, -1 to 1. RIFF WAVE with PCM of 16 bits; all else is a Reject.
std::vector<double> samples_of(const Bytes& file) {
  const std::uint8_t* at = file.data;
  const std::uint8_t* const end = file.data + file.size;
  if (file.size < 12 || std::memcmp(at, "RIFF", 4) != 0 || std::memcmp(at + 8, "WAVE", 4) != 0)
    throw Reject("not-wav", "expected a WAV file");
  std::uint32_t channels = 0;
  for (at += 12; end - at >= 8;) {
    const std::uint8_t* const chunk = at + 8;
    const std::size_t size = little_endian(at + 4, 4);
    if (size > static_cast<std::size_t>(end - chunk))
      throw Reject("truncated", "a chunk of the file goes beyond its end");
    if (std::memcmp(at, "fmt ", 4) == 0 && size >= 16) {
      channels = little_endian(chunk + 2, 2);
      const std::uint32_t format = little_endian(chunk, 2), bits = little_endian(chunk + 14, 2);
      if (format != 1 || bits != 16 || channels == 0)
        throw Reject("unsupported-format", "expected PCM of 16 bits, got format " + std::to_string(format) +
                                               " of " + std::to_string(bits) + " bits; convert the file");
    } else if (std::memcmp(at, "data", 4) == 0 && channels > 0) {
      std::vector<double> out(size / (2 * channels));
      for (std::size_t i = 0; i < out.size(); ++i)
        for (std::uint32_t c = 0; c < channels; ++c)
          out[i] += static_cast<std::int16_t>(little_endian(chunk + 2 * (i * channels + c), 2)) / 32768.0 /
                    channels;
      return out;
    }
    at = chunk + size + std::min<std::size_t>(size % 2, static_cast<std::size_t>(end - chunk) - size);
  }
  throw Reject("truncated", "the file has no samples");
}

/// In place, radix 2 (Cooley and Tukey 1965). The size is a power of 2.
void fourier_transform(std::vector<std::complex<double>>& values) {
  const std::size_t n = values.size();
  for (std::size_t i = 1, j = 0; i < n; ++i) {
    std::size_t bit = n >> 1;
    for (; (j & bit) != 0; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) std::swap(values[i], values[j]);
  }
  for (std::size_t length = 2; length <= n; length *= 2)
    for (std::size_t start = 0; start < n; start += length)
      for (std::size_t k = 0; k < length / 2; ++k) {
        const auto factor = std::polar(1.0, -2 * M_PI * static_cast<double>(k) / static_cast<double>(length));
        const auto even = values[start + k], odd = factor * values[start + k + length / 2];
        values[start + k] = even + odd;
        values[start + k + length / 2] = even - odd;
      }
}

/// Power in decibels of one window, by frequency.
std::vector<double> spectrum(const std::vector<double>& samples, std::size_t first) {
  std::vector<std::complex<double>> window(kWindow);
  for (std::size_t i = 0; i < kWindow && first + i < samples.size(); ++i)
    window[i] =
        samples[first + i] * (0.5 - 0.5 * std::cos(2 * M_PI * static_cast<double>(i) / kWindow));  // Hann
  fourier_transform(window);
  std::vector<double> out(kWindow / 2);
  for (std::size_t f = 0; f < out.size(); ++f) out[f] = 10 * std::log10(std::norm(window[f]) + 1e-20);
  return out;
}

/// Time from left to right, low frequencies below, light is loud.
class Spectrogram final : public Transform {
 public:
  explicit Spectrogram(const StageContext& context) : size_(context.params.get<int>("size")) {}
  Payload apply(const Item& item) const override {
    const std::vector<double> samples = samples_of(item.bytes());
    if (samples.empty()) throw Reject("empty", "the file has no samples");
    const auto size = static_cast<std::size_t>(size_);
    std::vector<std::vector<double>> columns;
    double loudest = -1e9;
    for (std::size_t x = 0; x < size; ++x) {
      const std::size_t last = samples.size() > kWindow ? samples.size() - kWindow : 0;
      columns.push_back(spectrum(samples, size > 1 ? last * x / (size - 1) : 0));
      loudest = std::max(loudest, *std::max_element(columns[x].begin(), columns[x].end()));
    }
    Image out = Image::allocate(size_, size_);
    for (std::size_t y = 0; y < size; ++y)
      for (std::size_t x = 0; x < size; ++x) {
        const std::size_t from = (size - 1 - y) * columns[x].size() / size;
        const std::size_t to = std::max(from + 1, (size - y) * columns[x].size() / size);
        const double level = *std::max_element(columns[x].begin() + static_cast<std::ptrdiff_t>(from),
                                               columns[x].begin() + static_cast<std::ptrdiff_t>(to));
        const double light = std::clamp(1 + (level - loudest) / kDecibels, 0.0, 1.0);
        std::fill_n(out.row(static_cast<int>(y)) + 3 * x, 3,
                    static_cast<std::uint8_t>(std::lround(255 * light)));
      }
    return out;
  }

 private:
  int size_;
};

}  // namespace

GRAFT_PLUGIN(
    spectrogram, "1.0.0", Spectrogram,
    graft::PluginSchema::transform("Turns sound into a picture of its frequencies over time.")
        .input(graft::PortType::Bytes, "WAV files with PCM of 16 bits.")
        .output("out", graft::PortType::Image, "u8[{size},{size},3]", "Gray; light is loud.")
        .param(graft::integer("size", 224).range(8, 256).unit("px").doc("Width and height of the picture.")))
