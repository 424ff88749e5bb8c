#include "scene.h"

#include <algorithm>
#include <array>

#include <graft/hash.h>
#include <graft/random.h>

namespace {

using graft::Random;

struct Colour {
  float r = 0, g = 0, b = 0;
};

Colour mix(const Colour& a, const Colour& b, float t) {
  return {a.r + (b.r - a.r) * t, a.g + (b.g - a.g) * t, a.b + (b.b - a.b) * t};
}

float uniform(Random& random, float low, float high) {
  return low + (high - low) * static_cast<float>(random.uniform());
}

// A colour of the given lightness and any tint (Rec. 601 weights).
Colour tinted(Random& random, float lightness) {
  const float r = uniform(random, -.25f, .25f), b = uniform(random, -.25f, .25f);
  return {lightness + r, lightness - (.299f * r + .114f * b) / .587f, lightness + b};
}

// Cosine and sine of an angle up to +-2 atan(limit), without calling either.
struct Turn {
  float c = 1, s = 0;
  Turn(Random& random, float limit) {
    const float t = uniform(random, -limit, limit), n = 1.0f + t * t;
    c = (1.0f - t * t) / n;
    s = 2.0f * t / n;
  }
  Point operator()(Point p) const { return {c * p.x - s * p.y, s * p.x + c * p.y}; }
};

// A stream of its own for every part of the scene, so that changing one part leaves the others as they are.
Random stream(std::uint64_t seed, std::string_view part, std::string_view key) {
  return Random(graft::hash64(part, seed), key, 0);
}

// Two tints that run into each other, with a faint wavy grain.
class Background {
 public:
  Background(Random& random, float lightness)
      : from_(tinted(random, lightness - .08f)),
        to_(tinted(random, lightness + .08f)),
        across_(random, 1.0f),
        grain_turn_(random, 1.0f),
        grain_(static_cast<Texture>(random.below(4))),
        period_(uniform(random, .2f, .6f)),
        depth_(uniform(random, .0f, .16f)),
        shift_{uniform(random, 0, 1), uniform(random, 0, 1)} {}

  Colour at(Point p, float pixel) const {
    Colour c = mix(from_, to_, std::clamp(.5f + .5f * across_(p).x, 0.0f, 1.0f));
    const Point q = grain_turn_({p.x + shift_.x, p.y + shift_.y});
    const float g = depth_ * (pattern(grain_, q, period_, 1.5f * pixel) - .5f);
    return {c.r + g, c.g + g, c.b + g};
  }

 private:
  Colour from_, to_;
  Turn across_, grain_turn_;
  Texture grain_;
  float period_, depth_;
  Point shift_;
};

struct Stroke {
  Point a, b;
  float radius;
  Colour colour;
};

std::vector<Stroke> strokes(Random& random, double clutter) {
  std::vector<Stroke> all(static_cast<std::size_t>(12.0 * clutter * (.5 + random.uniform()) + .5));
  for (Stroke& s : all) {
    s.a = {uniform(random, -1.1f, 1.1f), uniform(random, -1.1f, 1.1f)};
    const bool spot = random.chance(.4);
    const float reach = spot ? 0.0f : .5f;
    s.b = {s.a.x + uniform(random, -reach, reach), s.a.y + uniform(random, -reach, reach)};
    s.radius = spot ? uniform(random, .06f, .2f) : uniform(random, .03f, .09f);
    s.colour = tinted(random, uniform(random, .1f, .9f));
  }
  return all;
}

// The object: where it is, and in what colours.
class Thing {
 public:
  Thing(Random& random, const ClassSpec& what, float background)
      : what_(what), scale_(uniform(random, .6f, .8f)), turn_(random, .15f) {
    const float room = .9f * (1.0f - .9f * scale_);
    centre_ = {uniform(random, -room, room), uniform(random, -room, room)};
    period_ = uniform(random, .46f, .62f);
    shift_ = {uniform(random, 0, 1), uniform(random, 0, 1)};
    // Mostly lighter than the background; the second colour is on the other side of it or beyond the first.
    const float sign = random.chance(.9) ? 1.0f : -1.0f;
    const float first = background + sign * uniform(random, .25f, .4f);
    const float second = first + (random.chance(.5) ? 1.0f : -1.0f) * uniform(random, .3f, .45f);
    colours_ = {tinted(random, first), tinted(random, second)};
  }

  void paint(Colour& c, Point p, float pixel) const {
    const Point q{(p.x - centre_.x) / scale_, (p.y - centre_.y) / scale_};
    const float unit = pixel / scale_;
    if (q.x * q.x + q.y * q.y > 1.8f) return;
    const Point local = turn_(q);
    const float cover = std::clamp(.5f - distance(what_.shape, local) / unit, 0.0f, 1.0f);
    if (cover == 0.0f) return;
    const float second = pattern(what_.texture, {local.x + shift_.x, local.y + shift_.y}, period_, unit);
    c = mix(c, mix(colours_[0], colours_[1], second), cover);
  }

 private:
  ClassSpec what_;
  float scale_;
  Turn turn_;
  Point centre_;
  float period_ = 1;
  Point shift_;
  std::array<Colour, 2> colours_;
};

// Nearly normal, mean 0 and variance 1: the sum of four 16-bit uniforms (Irwin-Hall), out of one random
// number.
float nearly_normal(std::uint64_t bits) {
  const auto sum =
      static_cast<float>((bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48));
  return (sum - 131070.0f) * (1.7320508f / 65536.0f);
}

std::uint8_t to_byte(float v) {
  return static_cast<std::uint8_t>(std::clamp(v, 0.0f, 255.0f) + .5f);
}

}  // namespace

std::vector<ClassSpec> classes_of(Task task) {
  std::vector<ClassSpec> all;
  const int first = task == Task::Source ? 0 : 8, shapes = task == Task::Source ? 8 : 5;
  for (int i = 0; i < 2 * shapes; ++i) {
    const int shape = i % shapes, round = i / shapes;
    all.push_back({static_cast<Shape>(first + shape), static_cast<Texture>((shape + 2 * round) % 4)});
  }
  return all;
}

graft::Image draw(const ClassSpec& what, const SceneOptions& options, std::uint64_t seed,
                  std::string_view key) {
  Random light_random = stream(seed, "light", key);
  const float lightness = uniform(light_random, .3f, .6f);
  const Turn light_turn(light_random, 1.0f);
  const float slope = uniform(light_random, -.35f, .35f);
  Random random = stream(seed, "background", key);
  const Background background(random, lightness);
  random = stream(seed, "clutter", key);
  const std::vector<Stroke> clutter = strokes(random, options.clutter);
  random = stream(seed, "object", key);
  const Thing thing(random, what, lightness);
  random = stream(seed, "noise", key);
  const auto amplitude = static_cast<float>(60.0 * options.noise);

  graft::Image image = graft::Image::allocate(options.size, options.size);
  const float pixel = 2.0f / static_cast<float>(options.size);
  // Every fourth stroke passes in front of the object.
  const std::size_t behind = clutter.size() - clutter.size() / 4;
  for (int y = 0; y < options.size; ++y) {
    std::uint8_t* to = image.row(y);
    for (int x = 0; x < options.size; ++x, to += 3) {
      const Point p{(static_cast<float>(x) + .5f) * pixel - 1.0f,
                    (static_cast<float>(y) + .5f) * pixel - 1.0f};
      Colour c = background.at(p, pixel);
      for (std::size_t i = 0; i < clutter.size(); ++i) {
        if (i == behind) thing.paint(c, p, pixel);
        const Stroke& s = clutter[i];
        const float cover = std::clamp(.5f - capsule(p, s.a, s.b, s.radius) / pixel, 0.0f, 1.0f);
        c = mix(c, s.colour, cover);
      }
      if (behind == clutter.size()) thing.paint(c, p, pixel);
      const float light = 255.0f * (1.0f + slope * light_turn(p).x);
      to[0] = to_byte(c.r * light + amplitude * nearly_normal(random.next()));
      to[1] = to_byte(c.g * light + amplitude * nearly_normal(random.next()));
      to[2] = to_byte(c.b * light + amplitude * nearly_normal(random.next()));
    }
  }
  return image;
}
