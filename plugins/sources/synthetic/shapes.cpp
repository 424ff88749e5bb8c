#include "shapes.h"

#include <algorithm>
#include <cmath>
#include <span>

namespace {

float length(Point p) {
  return std::sqrt(p.x * p.x + p.y * p.y);
}
float disc(Point p, Point centre, float r) {
  return length({p.x - centre.x, p.y - centre.y}) - r;
}

// Signed distance to a closed polygon.
float polygon(Point p, std::span<const Point> v) {
  float nearest = 1e9f, sign = 1.0f;
  for (std::size_t i = 0, j = v.size() - 1; i < v.size(); j = i++) {
    const Point e{v[j].x - v[i].x, v[j].y - v[i].y}, w{p.x - v[i].x, p.y - v[i].y};
    const float t = std::clamp((w.x * e.x + w.y * e.y) / (e.x * e.x + e.y * e.y), 0.0f, 1.0f);
    const Point b{w.x - e.x * t, w.y - e.y * t};
    nearest = std::min(nearest, b.x * b.x + b.y * b.y);
    const bool above = p.y >= v[i].y, below = p.y<v[j].y, left = e.x * w.y> e.y * w.x;
    if ((above && below && left) || (!above && !below && !left)) sign = -sign;
  }
  return sign * std::sqrt(nearest);
}

constexpr Point kSquare[] = {{-.75f, -.75f}, {.75f, -.75f}, {.75f, .75f}, {-.75f, .75f}};
constexpr Point kTriangle[] = {{0, -1}, {.866f, .6f}, {-.866f, .6f}};
constexpr Point kPlus[] = {{-.33f, -.95f}, {.33f, -.95f}, {.33f, -.33f},  {.95f, -.33f},
                           {.95f, .33f},   {.33f, .33f},  {.33f, .95f},   {-.33f, .95f},
                           {-.33f, .33f},  {-.95f, .33f}, {-.95f, -.33f}, {-.33f, -.33f}};
constexpr Point kBar[] = {{-1, -.42f}, {1, -.42f}, {1, .42f}, {-1, .42f}};
constexpr Point kRhombus[] = {{0, -1}, {.62f, 0}, {0, 1}, {-.62f, 0}};
constexpr Point kStar[] = {{0, -1},    {.247f, -.340f}, {.951f, -.309f}, {.400f, .130f},   {.588f, .809f},
                           {0, .420f}, {-.588f, .809f}, {-.400f, .130f}, {-.951f, -.309f}, {-.247f, -.340f}};
constexpr Point kHeartTip[] = {{-.93f, .02f}, {.93f, .02f}, {0, 1}};
constexpr Point kArrow[] = {{0, -1},       {.9f, .05f},   {.36f, .05f}, {.36f, .95f},
                            {-.36f, .95f}, {-.36f, .05f}, {-.9f, .05f}};
constexpr Point kEll[] = {{-.75f, -.95f}, {-.1f, -.95f}, {-.1f, .3f}, {.8f, .3f}, {.8f, .95f}, {-.75f, .95f}};

// A zigzag between -1 and 1 with period 1: the sine wave of a machine without sines.
float wave(float t) {
  return 4.0f * std::fabs(t - std::floor(t) - 0.5f) - 1.0f;
}

float step(float v, float width) {
  return std::clamp(0.5f + v / width, 0.0f, 1.0f);
}

}  // namespace

const char* to_string(Shape shape) {
  static constexpr const char* kNames[] = {"disc",  "ring",      "square",  "triangle", "plus",
                                           "bar",   "half-disc", "rhombus", "star",     "crescent",
                                           "heart", "arrow",     "ell"};
  return kNames[static_cast<int>(shape)];
}

const char* to_string(Texture texture) {
  static constexpr const char* kNames[] = {"solid", "striped", "dotted", "checked"};
  return kNames[static_cast<int>(texture)];
}

float distance(Shape shape, Point p) {
  switch (shape) {
    case Shape::Disc:
      return disc(p, {}, 0.85f);
    case Shape::Ring:
      return std::fabs(length(p) - 0.66f) - 0.26f;
    case Shape::Square:
      return polygon(p, kSquare);
    case Shape::Triangle:
      return polygon(p, kTriangle);
    case Shape::Plus:
      return polygon(p, kPlus);
    case Shape::Bar:
      return polygon(p, kBar);
    case Shape::HalfDisc:
      return std::max(disc(p, {0, -.45f}, 1.0f), -.45f - p.y);
    case Shape::Rhombus:
      return polygon(p, kRhombus);
    case Shape::Star:
      return polygon(p, kStar);
    case Shape::Crescent:
      return std::max(disc(p, {-.1f, 0}, 0.95f), -disc(p, {.4f, 0}, 0.72f));
    case Shape::Heart:
      return std::min({disc(p, {-.46f, -.3f}, 0.5f), disc(p, {.46f, -.3f}, 0.5f), polygon(p, kHeartTip)});
    case Shape::Arrow:
      return polygon(p, kArrow);
    case Shape::Ell:
      return polygon(p, kEll);
  }
  return 1.0f;
}

float pattern(Texture texture, Point p, float period, float blur) {
  // `wave` runs from -1 to 1 over half a period, so an edge of width `blur` is this wide in its values.
  const float width = std::max(4.0f * blur / period, 1e-3f);
  const float u = p.x / period, v = p.y / period;
  switch (texture) {
    case Texture::Solid:
      return 0.0f;
    case Texture::Stripes:
      return step(wave(u), width);
    case Texture::Dots: {
      const Point cell{u - std::floor(u) - 0.5f, v - std::floor(v) - 0.5f};
      return step(0.34f - length(cell), blur / period);
    }
    case Texture::Checks:
      return step(wave(0.5f * u) * wave(0.5f * v), 0.5f * width);
  }
  return 0.0f;
}

float capsule(Point p, Point a, Point b, float r) {
  const Point e{b.x - a.x, b.y - a.y}, w{p.x - a.x, p.y - a.y};
  const float t = std::clamp((w.x * e.x + w.y * e.y) / std::max(e.x * e.x + e.y * e.y, 1e-6f), 0.0f, 1.0f);
  return length({w.x - e.x * t, w.y - e.y * t}) - r;
}
